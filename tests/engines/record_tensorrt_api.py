"""Records which names TensorRT's Python API has, into tensorrt_api.json beside this file.

The bindings of the enterprise edition cannot do anything without a GPU and its 2 GB of libraries, but they can be
imported: the libraries are stood in for by empty ones, made with the C compiler here. Usage, for each version:

    pip download --no-deps --dest . tensorrt-cu13-bindings==10.16.1.11
    python tests/engines/record_tensorrt_api.py tensorrt_cu13_bindings-10.16.1.11-*.whl
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

RECORD = Path(__file__).with_name("tensorrt_api.json")
CLASSES = [
    *("Builder", "IBuilderConfig", "INetworkDefinition", "ITensor", "IOptimizationProfile", "OnnxParser"),
    *("ParserError", "Runtime", "ICudaEngine", "IExecutionContext", "EngineInspector", "ILogger"),
    *("IProgressMonitor", "IHostMemory", "DataType"),
]
ENUMS = [
    *("BuilderFlag", "NetworkDefinitionCreationFlag", "ProfilingVerbosity", "LayerInformationFormat", "TensorIOMode"),
    *("MemoryPoolType", "TacticSource", "HardwareCompatibilityLevel"),
]
ENTRY_POINTS = [
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry"),
    *("getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins"),
]
PRINT = f"""
import json, tensorrt_bindings as trt
names = lambda thing: sorted(name for name in dir(thing) if not name.startswith("_"))
print(json.dumps({{
    "version": trt.__version__,
    "module": names(trt),
    "classes": {{name: names(getattr(trt, name)) for name in {CLASSES!r}}},
    "enums": {{name: {{k: int(v) for k, v in getattr(trt, name).__members__.items()}} for name in {ENUMS!r}}},
    "severities": names(trt.ILogger.Severity),
}}))
"""


def main() -> None:
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for wheel in map(Path, sys.argv[1:]):
        api = names_in(wheel)
        record[f"{wheel.name.split('-')[0]} {api.pop('version')}"] = api
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def names_in(wheel: Path) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        env = importable(wheel, Path(folder))
        done = subprocess.run([sys.executable, "-c", PRINT], env=env, check=True, capture_output=True, text=True)
    api: dict[str, object] = json.loads(done.stdout)
    return api


def importable(wheel: Path, folder: Path) -> dict[str, str]:
    """Unpack the bindings beside empty libraries; the environment in which `import tensorrt_bindings` works."""
    major = wheel.name.split("-")[1].split(".")[0]
    zipfile.ZipFile(wheel).extractall(folder)
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in ENTRY_POINTS))
    for library in ("libnvonnxparser", "libnvinfer_plugin", "libnvinfer"):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / f"{library}.so.{major}", source], check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(folder)}


if __name__ == "__main__":
    main()
