"""Latency, GPU memory and accuracy, measured."""
