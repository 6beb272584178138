"""Who must accept and run the model: TensorRT (10, 11 and RTX through one adapter) and ONNX Runtime."""
