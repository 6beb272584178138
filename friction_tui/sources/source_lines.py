"""Where in the user's own code something happened: tracebacks and recorded stacks turned into source lines."""

from __future__ import annotations

import ast
import itertools
import linecache
import re
import traceback
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType

import friction_tui
from friction_tui.sources.watch import is_installed
from friction_tui.vocabulary.finding import SourceLine

_FRAME = re.compile(r'File "([^"]+)", line (\d+)(?:, in (.+))?')
_PACKAGE = Path(friction_tui.__file__).resolve().parent
_MACHINERY = ("/torch/", "/onnxscript/", "/onnx_ir/", "/functorch/", "/keras/", "/tensorflow/", "/tf2onnx/")


def of_traceback(trace: TracebackType | None) -> tuple[SourceLine, ...]:
    """The user's frames of a traceback, outermost first."""
    return _own(SourceLine(f.filename, f.lineno or 0, f.name, f.line or "") for f in traceback.extract_tb(trace))


def of_frame(frame: FrameType | None) -> tuple[SourceLine, ...]:
    """The user's frames of a running stack, outermost first."""
    return _own(SourceLine(f.filename, f.lineno or 0, f.name, f.line or "") for f in traceback.extract_stack(frame))


def of_stack_text(text: str) -> tuple[SourceLine, ...]:
    """The user's frames in a stack printed as text, outermost first."""
    return _own(
        SourceLine(file, int(line), (function or "").strip(), linecache.getline(file, int(line)).strip())
        for file, line, function in _FRAME.findall(text)
    )


def of_exception(error: BaseException) -> SourceLine | None:
    """The innermost user line an exception or one of its causes went through."""
    lines: tuple[SourceLine, ...] = ()
    for link in chain(error):
        lines = of_traceback(link.__traceback__) or lines
    return lines[-1] if lines else None


def evaluated(error: BaseException) -> ast.expr | None:
    """The expression that the innermost user line was evaluating, from Python's own column positions (PEP 657)."""
    found: ast.expr | None = None
    for link in chain(error):
        own = {(line.file, line.line) for line in of_traceback(link.__traceback__)[-1:]}
        frames = [f for f in traceback.extract_tb(link.__traceback__) if (f.filename, f.lineno) in own]
        if frames:
            found = _expression(frames[-1])
    return found


def _expression(frame: traceback.FrameSummary) -> ast.expr | None:
    wanted = (frame.lineno, frame.colno, frame.end_lineno, frame.end_colno)
    for node in ast.walk(_tree(frame.filename)):
        if not isinstance(node, ast.expr):
            continue
        if (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset) == wanted:
            return node
    return None


def chain(error: BaseException) -> tuple[BaseException, ...]:
    """An exception and what it was raised from, outermost first."""
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return tuple(links)


def context(line: SourceLine, around: int = 2) -> tuple[str, ...]:
    """The line with `around` lines either side, numbered, the line itself marked with `>`."""
    numbers = range(max(1, line.line - around), line.line + around + 1)
    shown = [(number, linecache.getline(line.file, number).rstrip()) for number in numbers]
    return tuple(f"{'>' if n == line.line else ' '} {n:4d}  {text}" for n, text in shown if text or n == line.line)


def statement_at(line: SourceLine) -> ast.stmt | None:
    """The innermost statement that covers the line, parsed from its file; None when it cannot be read.

    Of `if test: body` on one line it is the if: what fails when a tensor's value is asked for is the test.
    """
    found: ast.stmt | None = None
    for node in ast.walk(_tree(line.file)):
        if isinstance(node, ast.stmt) and node.lineno <= line.line <= (node.end_lineno or node.lineno):
            # For a compound statement only its head counts: its body has statements of its own.
            body = getattr(node, "body", None)
            head_end = body[0].lineno - 1 if isinstance(body, list) else (node.end_lineno or node.lineno)
            on_one_line = isinstance(found, ast.If | ast.While) and found.lineno == node.lineno
            if line.line <= max(head_end, node.lineno) and not on_one_line:
                found = node
    return found


def following(statement: ast.stmt, file: str) -> ast.stmt | None:
    """The statement after this one in the same block."""
    for node in ast.walk(_tree(file)):
        for block in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(block, list):
                for this, after in itertools.pairwise(block):
                    if (this.lineno, this.col_offset) == (statement.lineno, statement.col_offset):
                        return after if isinstance(after, ast.stmt) else None
    return None


def definition(file: str, *names: str) -> SourceLine | None:
    """Where a function or method is defined: `definition(file, "Net", "forward")`; a bare name finds the first."""
    scope: ast.AST = _tree(file)
    for name in names:
        inside = (n for n in ast.walk(scope) if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name)
        found = next(inside, None)
        if found is None:
            return None
        scope = found
    number = getattr(scope, "lineno", 0)
    return SourceLine(file, number, names[-1], linecache.getline(file, number).strip())


def returned_at(forward: SourceLine, naming: str = "") -> SourceLine:
    """The return statement of the function defined at `forward` whose expression says `naming`, else its last one."""
    function = next(
        (
            node
            for node in ast.walk(_tree(forward.file))
            if isinstance(node, ast.FunctionDef) and node.lineno == forward.line
        ),
        None,
    )
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)] if function else []
    returns.sort(key=lambda node: node.lineno)
    named = [node for node in returns if naming and naming in ast.unparse(node)]
    if not returns:
        return forward
    number = (named or returns)[-1].lineno
    return SourceLine(forward.file, number, forward.function, linecache.getline(forward.file, number).strip())


def find_in(file: str, names: tuple[str, ...], pattern: str) -> SourceLine | None:
    """The first line matching a regular expression inside the definition called `names`."""
    start = definition(file, *names)
    if start is None:
        return None
    node = next(
        n
        for n in ast.walk(_tree(file))
        if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.lineno == start.line and n.name == names[-1]
    )
    for number in range(node.lineno, (node.end_lineno or node.lineno) + 1):
        text = linecache.getline(file, number)
        if re.search(pattern, text.split("#", 1)[0]):
            return SourceLine(file, number, names[-1], text.strip())
    return None


def _tree(file: str) -> ast.Module:
    return _parsed("".join(linecache.getlines(file)))


@lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    """Parsed once, so that a node found twice is the same node."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _own(lines: Iterable[SourceLine]) -> tuple[SourceLine, ...]:
    """The lines of the user's project; when there are none, those of installed packages outside the machinery."""
    listed = [line for line in lines if Path(line.file).is_file()]
    foreign = [line for line in listed if not Path(line.file).resolve().is_relative_to(_PACKAGE)]
    own = [line for line in foreign if not is_installed(Path(line.file).resolve())]
    if not own:
        own = [
            line for line in foreign if "-packages/" in line.file and not any(part in line.file for part in _MACHINERY)
        ]
    return tuple(own)
