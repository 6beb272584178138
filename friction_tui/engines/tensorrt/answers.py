"""Answers of the builder kept on disk, by the content of what was asked.

A key is a digest of the serialised model, the sizes, target and precision, the engine's version, and the GPU that is
here, if any: what is asked again in the same words is not built again. A crash costs as much to repeat as to remember
and a lack of time or memory depends on the machine, so only what was taken or refused is kept. An answer of the whole
model carries the place of a failure, which takes longest to find.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from friction_tui.engines.nvidia import gpus
from friction_tui.locations import cache_dir

EXTRACTION = 1
"""Changes when the same key would stand for another question: parts are cut out in another way."""
KEPT = 20_000
"""Answers that are kept; the oldest go first. One takes about 300 bytes."""
_WAIT_S = 2.0
"""How long another process may hold the file."""

Answer = dict[str, Any]


def default_file() -> Path:
    """Where answers are kept."""
    return cache_dir() / "builder-answers.sqlite"


def key(label: str, question: object, data: bytes) -> str:
    """The key of a `question` (sizes, target and so on, as JSON) about `data`, to the engine called `label`."""
    asked = json.dumps([EXTRACTION, label, gpus(), question], sort_keys=True)
    return hashlib.sha256(asked.encode() + b"\0" + data).hexdigest()[:40]


class Answers:
    """Kept answers. A file that cannot be read or written is as good as none: everything is asked again."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or default_file()
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None
        self._broken = False

    def get(self, asked: str) -> Answer | None:
        """The answer kept under a key, None for none."""
        with self._lock, contextlib.suppress(sqlite3.Error, OSError, ValueError):
            rows = self._connection()
            found = rows.execute("SELECT answer FROM answers WHERE key = ?", (asked,)).fetchone() if rows else None
            return dict(json.loads(found[0])) if found else None
        return None

    def put(self, asked: str, answer: Answer) -> None:
        """Keep an answer, if it is one that holds tomorrow."""
        if answer["verdict"] not in ("taken", "refused"):
            return
        with self._lock, contextlib.suppress(sqlite3.Error, OSError):
            rows = self._connection()
            if rows:
                with rows:
                    row = (asked, json.dumps(answer), time.time())
                    rows.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _connection(self) -> sqlite3.Connection | None:
        if self._opened is not None or self._broken:
            return self._opened
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._opened = self._fresh()
        except sqlite3.DatabaseError:  # not a database: it is made again
            try:
                self._file.unlink(missing_ok=True)
                self._opened = self._fresh()
            except (OSError, sqlite3.Error):
                self._broken = True
        except OSError:
            self._broken = True
        return self._opened

    def _fresh(self) -> sqlite3.Connection:
        rows = sqlite3.connect(self._file, timeout=_WAIT_S, check_same_thread=False)
        with rows:
            rows.execute("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer TEXT, at REAL)")
            rows.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (KEPT,),
            )
        return rows
