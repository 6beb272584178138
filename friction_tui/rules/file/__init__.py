"""Files as files: what is no model, what is an engine, weights that lie elsewhere."""
