"""How the command line ends: 0 and 1 are answers, 2 says that there is none, whatever went wrong on the way.

Output survives any locale: what the encoding of a terminal or a pipe does not have is written as an escape.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable

import click

FAILED = 2


def end(run: Callable[[], object]) -> int:
    """Run a command; returns the exit status of the process.

    1 is what the command itself returned or exited with. Every exception is one sentence on stderr and status 2.
    """
    _open_streams()
    status = FAILED
    try:
        result = run()
        status = result if isinstance(result, int) else 0
    except SystemExit as ended:
        status = _status(ended)
    except click.ClickException as error:
        _say(error.show)
    except (KeyboardInterrupt, click.Abort, EOFError):
        _tell("stopped")
    except BrokenPipeError:
        pass  # whoever read the output has gone, as `head` does
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _tell(f"Error: {where}{error.strerror or error}"[:1000])
    except MemoryError:
        _tell("Error: this machine ran out of memory")
    except Exception as error:
        # Whatever it is, 1 would say that errors were found in the model.
        _tell(_fault(error))
    return status if _flushed() else FAILED


def _status(ended: SystemExit) -> int:
    if ended.code is None:
        return 0
    if isinstance(ended.code, int):
        return ended.code
    _tell(str(ended.code))
    return FAILED


def _fault(error: Exception) -> str:
    """A fault of ours: what, and where it was."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(str(error).split())[:500]
    place = f"{os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119  (pathlib is not imported yet)
    return f"Error: {type(error).__name__}: {what}\nThis is a fault of friction-tui ({place}), not of your model."


def _open_streams() -> None:
    """Let stdout and stderr take any text, and be there even if they were closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # It stays open as long as the process lives.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _say(tell: Callable[[], None]) -> None:
    with contextlib.suppress(OSError, ValueError):  # stderr is gone as well
        tell()


def _tell(text: str) -> None:
    _say(lambda: click.echo(text, err=True))


def _flushed() -> bool:
    """Whether everything that was printed has arrived. What cannot be written is given up."""
    arrived = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            arrived = False
            if stream is sys.stdout and getattr(error, "errno", None) != errno.EPIPE:
                _tell(f"Error: the output could not be written: {getattr(error, 'strerror', '') or error}")
            with contextlib.suppress(OSError, ValueError):  # else Python tries once more at its end, with status 120
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return arrived
