"""Files before they are a model: what a file is, what is left of a broken one, weights beside it."""
