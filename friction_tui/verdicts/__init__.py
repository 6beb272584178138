"""What several engines say together: the TensorRTs of several environments, a build and what was known before it."""
