"""The model against the ONNX specification: graphs, declarations, operator schemas, versions."""
