"""Stored values: what is wrong, too long, too short or needless among them."""
