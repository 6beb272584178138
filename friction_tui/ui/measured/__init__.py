"""The panels with charts: memory and latency, planned or measured."""
