"""What engines report: their messages decoded, and ONNX Runtime as a second opinion."""
