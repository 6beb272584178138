"""Where the tool keeps its files, by the platform's own rules (platformdirs)."""

from __future__ import annotations

from pathlib import Path

from platformdirs import PlatformDirs

_DIRS = PlatformDirs(appname="friction-tui", appauthor=False)


def config_dir() -> Path:
    """What the user may edit: keymap and settings."""
    return Path(_DIRS.user_config_dir)


def keymap_file() -> Path:
    """Keys chosen by the user: TOML, action id = key."""
    return config_dir() / "keys.toml"


def state_dir() -> Path:
    """What the tool writes for itself and would be missed: sessions."""
    return Path(_DIRS.user_state_dir)


def sessions_dir() -> Path:
    """One TOML file per saved session."""
    return state_dir() / "sessions"


def log_file() -> Path:
    """What the user was told, a dead worker's last words, the traceback of a crash. Older ones lie beside it."""
    return Path(_DIRS.user_log_dir) / "friction-tui.log"


def crash_file() -> Path:
    """What the interpreter says when a signal kills it."""
    return log_file().with_name("friction-tui-crash.log")


def cache_dir() -> Path:
    """What can be made again at any time."""
    return Path(_DIRS.user_cache_dir)


def all_places() -> dict[str, Path]:
    """Every location under the name that `friction-tui locate` prints."""
    return {
        "config": config_dir(),
        "keys": keymap_file(),
        "sessions": sessions_dir(),
        "log": log_file(),
        "crashes": crash_file(),
        "cache": cache_dir(),
    }
