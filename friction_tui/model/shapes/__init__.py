"""Shapes: followed through the graph at a point of the ranges, node by node, by rules and by onnx."""
