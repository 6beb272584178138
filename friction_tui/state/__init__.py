"""All that is shown, as one immutable value, and how it moves on. Knows no widget: the hub uses it too."""
