"""The graph panel, the search in it, and the inspector of what is under its cursor."""
