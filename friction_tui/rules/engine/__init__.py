"""What engines said, in plain words: the builder's messages, and ONNX Runtime as a second opinion."""
