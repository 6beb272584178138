"""The installed stack, from the driver to the Python packages: what is there, and what of it does not fit together."""
