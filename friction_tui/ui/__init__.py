"""The user interface: app, screens, widgets."""
