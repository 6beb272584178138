"""Element types and their ranges: what the engine does not have, float16's limits, quantization."""
