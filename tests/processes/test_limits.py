"""A child that takes too much memory or time is ended, and it is said which."""

from __future__ import annotations

import os
import sys

from friction_tui.processes.child import Child
from friction_tui.processes.limits import Watched, machine_memory, resident

WAIT = "import sys; sys.stdin.read()"
EAT = f"kept = bytearray(200_000_000); {WAIT}"


def test_too_much_memory_ends_it() -> None:
    child = Child([sys.executable, "-c", EAT])
    watched = Watched(child, memory=100_000_000)
    assert child.wait(60) == -9
    assert watched.why == "needs more memory than there is (0.1 GB) and was ended"


def test_too_much_time_ends_it() -> None:
    child = Child([sys.executable, "-c", WAIT])
    watched = Watched(child, seconds=0.01)
    assert child.wait(60) == -9
    assert "took longer than" in watched.why


def test_one_that_ends_by_itself_has_met_no_limit() -> None:
    child = Child([sys.executable, "-c", ""])
    watched = Watched(child, memory=machine_memory(), seconds=600)
    assert child.wait(60) == 0
    assert watched.why == ""


def test_what_this_machine_has_and_what_this_process_holds() -> None:
    assert 0 < resident(os.getpid()) < machine_memory()
