"""Sizes that cannot work: ranges, profiles, constants baked in at export, and which input is to blame."""
