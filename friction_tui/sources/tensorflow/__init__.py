"""TensorFlow and Keras to ONNX, and what is said when that fails. Runs in the export process only."""
