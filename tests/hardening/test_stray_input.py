"""A terminal that sends bytes which are not UTF-8 does not end the app."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from textual.drivers import linux_driver

from friction_tui.ui.hangup import take_any_bytes
from tests.ui.terminal import Terminal


def test_a_stray_byte_is_read_as_a_replacement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(linux_driver), "getincrementaldecoder", codecs.getincrementaldecoder)
    take_any_bytes()
    decode = vars(linux_driver)["getincrementaldecoder"]("utf-8")().decode
    assert decode(b"a\xffb\xe6\xbc") == "a\ufffdb"
    assert decode(b"\x1b", final=True) == "\ufffd\x1b"


@pytest.mark.slow
def test_the_app_goes_on(tmp_path: Path) -> None:
    terminal = Terminal(["sample_models/nms.onnx"], tmp_path)
    try:
        terminal.seen("nms.onnx")
        os.write(terminal.ours, b"\xff\xe6\x1b[A\xc3(")
        terminal.press("\x1b")
        terminal.press("\x11", every=0.5)
        assert terminal.process.wait(60) == 0
        assert b"Traceback" not in terminal.heard
    finally:
        terminal.process.kill()
        terminal.close()
