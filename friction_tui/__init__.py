"""friction_tui: see, understand and remove the friction between a trained model and its TensorRT engine."""

__version__ = "0.1.0"
