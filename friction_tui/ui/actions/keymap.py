"""Keys of the user's own: `keys.toml` in the configuration directory, one line an action: `"build.start" = "f5"`."""

from __future__ import annotations

from pathlib import Path

from friction_tui.files import BadFile, read_toml
from friction_tui.locations import keymap_file


def read(path: Path | None = None) -> tuple[dict[str, str], str]:
    """Action id to keys, comma separated, and what is wrong with the file; both empty where there is none."""
    path = path or keymap_file()
    try:
        return read_toml(path.read_bytes(), dict[str, str]), ""
    except FileNotFoundError:
        return {}, ""
    except (OSError, BadFile) as error:
        return {}, f"{path.name} was not used: {error} ({path})"
