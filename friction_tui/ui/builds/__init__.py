"""The build panel: the running build, its result, log and kernels, and the builds before it."""
