"""`friction-tui mcp`, asked by the official client over a real process."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest
from jsonschema import validate
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from onnx import parser

from friction_tui.report import as_json
from friction_tui.samples import sample

REFUSED = """<ir_version: 10, opset_import: ["" : 18]>
    net (float[batch,3,8,8] x, float[4,3,3,3] w) => (float[batch,4,6,6] y)
    { c = Conv (x, w)  i = Cast <to = 2> (c)  k = Constant <value = uint8 {3}> ()
      m = BitwiseAnd (i, k)  y = Cast <to = 1> (m) }"""


@asynccontextmanager
async def agent(folder: Path, *options: str) -> AsyncIterator[Client]:
    command = ["-m", "friction_tui", "mcp", "--folder", str(folder), *options]
    async with Client(stdio_client(StdioServerParameters(command=sys.executable, args=command, cwd=folder))) as client:
        yield client


async def asked(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return dict(result.structured_content)


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(parser.parse_model(REFUSED), path)
    return path


async def test_a_model_is_checked_explained_previewed_mended_and_built(model: Path, tmp_path: Path) -> None:
    async with agent(tmp_path) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert listed == {"check", "explain", "fix", "build", "reduce", "graph", "node", "source", "set_ranges"}
        judged = await asked(client, "check", model=str(model))
        validate({"schema": 1, "tool": "", "models": [judged]}, as_json.schema())
        errors = [finding for finding in judged["findings"] if finding["level"] == "error"]
        assert errors
        told = await asked(client, "explain", kind=errors[0]["kind"])
        assert errors[0]["kind"] in told["text"]

        preview = await asked(client, "fix", model=str(model))
        assert preview["steps"]
        assert preview["diff"]
        assert not preview["saved"]
        mended = await asked(client, "fix", model=str(model), output="fixed.onnx")
        assert mended["holds"]
        assert not [one for one in mended["remaining"] if one["level"] == "error"]
        built = await asked(client, "build", model=str(tmp_path / "fixed.onnx"))
        assert built["build"]["ok"]


async def test_a_graph_comes_in_slices_and_a_node_whole(model: Path, tmp_path: Path) -> None:
    async with agent(tmp_path) as client:
        part = await asked(client, "graph", model=str(model), first=1, count=1)
        assert part["total"] > 1
        assert len(part["nodes"]) == 1
        (conv,) = (await asked(client, "graph", model=str(model), contains="Conv"))["nodes"]
        detail = await asked(client, "node", model=str(model), path=conv["path"])
        assert detail["op"] == "Conv"
        assert detail["outputs"][0]["dtype"] == "float32"
        assert "no node '99'" in await refused(client, "node", model=str(model), path="99")


async def test_ranges_are_written_for_everybody(model: Path, tmp_path: Path) -> None:
    async with agent(tmp_path) as client:
        ranges = ["x:2x3x8x8..4x3x8x8..6x3x8x8"]
        assert (await asked(client, "set_ranges", model=str(model), shapes=ranges))["saved"]
        again = await asked(client, "check", model=str(model))
        assert again["judged"]["profiles"][0]["ranges"] == {"batch": [2, 4, 6]}
        assert again["guessed"] == []


async def test_no_code_runs_and_nothing_is_written_elsewhere(model: Path, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    (tmp_path / "net.py").write_text(f"open({str(witness)!r}, 'w').close()\ndef create(): raise SystemExit\n")
    inside = tmp_path / "inside"
    inside.mkdir()
    async with agent(inside) as client:
        assert "--allow-code" in await refused(client, "check", model=f"{tmp_path}/net.py:create")
        assert not witness.exists()
        assert "outside" in await refused(client, "fix", model=str(model), output="../fixed.onnx")
        assert "outside" in await refused(client, "set_ranges", model=str(model), shapes=["x:1x3x8x8"])
        (inside / "there.onnx").write_bytes(b"")
        assert "there already" in await refused(client, "fix", model=str(model), output="there.onnx")
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.py", "inside"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wrong_types", "baked_batch", "growing_loop", "qdq_asymmetric", "training_mode"])
async def test_an_agent_that_only_follows_fixes_carries_a_sample_to_an_engine(name: str, tmp_path: Path) -> None:
    path = sample(name)
    assert path is not None
    async with agent(tmp_path) as client:
        judged = await asked(client, "check", model=str(path))
        kinds = [one["kind"] for one in judged["findings"] if one["level"] in ("error", "warn") and one["fix_details"]]
        assert kinds
        await asked(client, "fix", model=str(path), output="fixed.onnx", only=kinds, warnings_too=True)
        built = await asked(client, "build", model=str(tmp_path / "fixed.onnx"))
        assert built["build"]["ok"], built["findings"]
