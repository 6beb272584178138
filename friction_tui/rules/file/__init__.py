"""The model file: what is not a model, what is an engine, weights in other files."""
