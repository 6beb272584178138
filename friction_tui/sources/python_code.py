"""Imports the user's Python file or module, whatever framework it is for. Runs only in the export process."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from friction_tui.sources.watch import project_root


class CannotBuild(Exception):
    """The user's code ran but gave nothing that can be exported. The text says what it gave, `fix` what to do."""

    def __init__(self, said: str, fix: str = "") -> None:
        self.fix = fix
        super().__init__(said)


def load(path_text: str) -> ModuleType:
    """Import the user's file or module. A file inside a package is imported under its package name."""
    path = Path(path_text)
    if path.suffix != ".py":
        sys.path.append(str(Path.cwd()))
        return importlib.import_module(path_text)
    path = path.resolve()
    root, name = path.parent, path.stem
    while (root / "__init__.py").is_file():
        root, name = root.parent, f"{root.name}.{name}"
    # A file may be called like an installed package (onnx.py): then it must not take that package's place.
    taken = "." not in name and _is_taken(name, path)
    sys.path += [str(root), str(project_root(path))]
    if "." in name:
        return importlib.import_module(name)
    name = f"user_{name}" if taken else name
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CannotBuild(f"{path} is not a Python file")
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code
    spec.loader.exec_module(code)
    return code


def _is_taken(name: str, path: Path) -> bool:
    """Whether `import name` gives something else than the file `path`."""
    if name in sys.modules:
        return True
    found = importlib.util.find_spec(name)
    return found is not None and found.origin != str(path)


def named(code: ModuleType, name: str) -> Any:
    """What `name` (dotted) means in the user's module. Raises CannotBuild with the names there are."""
    thing: Any = code
    for part in name.split("."):
        if not hasattr(thing, part):
            near = [n for n, v in vars(code).items() if callable(v) and getattr(v, "__module__", "") == code.__name__]
            raise CannotBuild(f"{code.__name__} has no {name}; callable in it: {', '.join(near) or 'nothing'}")
        thing = getattr(thing, part)
    return thing
