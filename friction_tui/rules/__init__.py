"""Judgement: facts and engine answers become findings. One file a kind of friction."""
