"""The source panel: the Python a model came from, and how its export is asked for and goes."""
