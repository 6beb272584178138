"""Rewrites that remove a problem, each with its proof. One file a family."""
