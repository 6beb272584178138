"""Where a model comes from; each source ends in an ONNX model."""
