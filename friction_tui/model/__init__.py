"""Facts about an opened model, without judgement."""
