"""The face: app, screens, widgets."""
