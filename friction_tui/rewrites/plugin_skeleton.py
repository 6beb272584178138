"""A folder with a TensorRT plug-in for one node, in Python and C++, written in a child process."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from friction_tui.model.opened import open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites.plugin_cpp import cmake_text, cpp_text
from friction_tui.rewrites.plugin_facts import NoPlugin, PluginFacts, find_node, plugin_facts
from friction_tui.rewrites.plugin_python import python_text
from friction_tui.vocabulary.recipe import Profile


class Wanted(msgspec.Struct, frozen=True):
    """What the child is asked: a plug-in for `node` of the model at `path`, written into `folder`."""

    path: str
    node: str
    folder: str
    profile: Profile | None = None


class Written(msgspec.Struct, frozen=True):
    """The child's answer: the files, and what could not be filled in; `why_not` where there is no plug-in."""

    name: str = ""
    files: tuple[str, ...] = ()
    open_points: tuple[str, ...] = ()
    why_not: str = ""


def write_skeleton(wanted: Wanted) -> Written:
    """Write the files. Raises OSError."""
    model = open_model(Path(wanted.path))
    if model.file.kind != "onnx":
        return Written(why_not=model.file.error or f"{wanted.path} is not an ONNX model")
    table = ShapeTable(model, default_profile(model, wanted.profile or Profile()))
    try:
        facts = plugin_facts(find_node(model, wanted.node), table)
    except NoPlugin as error:
        return Written(why_not=str(error))
    folder = Path(wanted.folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {"plugin.py": python_text(facts), "plugin.cpp": cpp_text(facts), "CMakeLists.txt": cmake_text(facts)}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return Written(facts.name, tuple(str(folder / name) for name in files), tuple(_open_points(facts)))


def _open_points(facts: PluginFacts) -> list[str]:
    points = ["what it computes: enqueue in plugin.py or plugin.cpp"]
    for one in facts.outputs:
        unknown = [str(axis) for axis, size in enumerate(one.sizes) if size.axis is None and size.constant is None]
        if unknown:
            points.append(f"the size of {one.name} ({one.shape}) on axis {', '.join(unknown)}")
    points += [f"the attribute {name}, which no plug-in field can hold" for name in facts.left_out]
    points.append("TensorRT-RTX 1.7 has no plug-in layers: build with TensorRT 10 or later")
    if facts.renamed:
        points.append("the nodes take its name: python plugin.py MODEL.onnx RENAMED.onnx")
    return points


def main() -> None:
    """In a process of its own: a `Wanted` on stdin, a `Written` on stdout."""
    from friction_tui.processes.stdio import take_stdout

    channel = take_stdout()
    wanted = msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted)
    try:
        written = write_skeleton(wanted)
    except OSError as error:
        written = Written(why_not=f"it was not written to {wanted.folder}: {error.strerror or error}")
    channel.write(msgspec.json.encode(written))
    channel.flush()
