"""A child process must not outlive whoever asked for it."""

from __future__ import annotations

import os
import sys
import threading


def die_with_stdin() -> None:
    """End this process, at once, when stdin reaches its end: the parent is gone.

    Works while native code runs as long as it releases the GIL, which TensorRT's builder and ONNX Runtime do.
    """

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
