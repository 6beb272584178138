"""All that is shown, as one immutable value, and the one function that makes the next. Knows no widget."""
