"""What the children of these tests do: say what they will do, then do it for ever."""

from __future__ import annotations

import ctypes
import sys
import threading


def main() -> None:
    """Idle, compute in Python, or sleep in native code that holds the GIL; or take a gigabyte of memory."""
    print(sys.argv[1], flush=True)
    match sys.argv[1]:
        case "native":
            while True:
                ctypes.PyDLL(None).sleep(1000)
        case "python":
            while True:
                pass
        case "memory":
            bytearray(1 << 30)
        case _:
            threading.Event().wait()
