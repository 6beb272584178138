"""One adapter for `tensorrt` 10 and 11 and for `tensorrt_rtx`, by capability and not by version."""
