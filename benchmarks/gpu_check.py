"""Everything that needs an NVIDIA GPU, for real, in one run without a network: `make gpu-check`.

Runs on a bare GPU machine too. What such a machine lacks comes along as wheels, made where there is a network:

    python -m benchmarks.gpu_check --download build/gpu-wheels   # or: make gpu-wheels; 17 MB for Python 3.12
    python3 -m benchmarks.gpu_check --wheels build/gpu-wheels    # on the GPU machine, in a checkout, no network
    python -m benchmarks.gpu_check --rehearse                    # anywhere: the steps start, on the CPU; no verdict

Each step is a process with a time limit; what it has found is in the report within a second, also when it is stopped.
Writes `gpu-check.json` and screenshots to `$OUT`, else to `build/gpu-check`. Exit status: 0 all that could run held,
1 something did not hold, 2 wrong options, 3 there is no GPU. This module needs Python's own library only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.machine import machine

ROOT = Path(__file__).resolve().parent.parent
STEPS = {
    "nvml": 30,
    "cuda class": 60,
    "process memory": 60,
    "doctor": 60,
    "app under torch load": 90,
    "torch memory": 180,
    "torch latency": 240,
    "onnxruntime cuda": 90,
    "tensorrt": 240,
    "app build and latency": 240,
}
"""Name to the seconds that a step may take, quick ones first."""
LIMIT_S = 540
"""For all of them together."""
CARRIED = (
    *("textual", "rich", "markdown-it-py", "mdit-py-plugins", "linkify-it-py", "uc-micro-py", "mdurl", "pygments"),
    *("platformdirs", "typing-extensions", "msgspec", "click", "plotext", "tomli-w", "netron"),
    *("onnx", "onnx-ir", "onnx-shape-inference", "nvidia-ml-py"),
)
"""What friction_tui needs beside torch, numpy, onnxscript and what they bring: pure Python but for msgspec and onnx."""
PACKAGES = (*CARRIED, "onnxruntime", "onnxruntime-gpu", "onnxscript", "tensorrt", "tensorrt-rtx", "torch", "triton")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every step; one that fails or hangs does not stop the others."""
    asked = _options(arguments)
    if asked.download:
        return download(asked.download, asked.python)
    out = Path(asked.out or os.environ.get("OUT") or ROOT / "build" / "gpu-check").absolute()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        site = Path(folder, "site")
        carried = unpacked(asked.wheels, site) if asked.wheels else {}
        environment = _environment(site if carried else None, Path(folder))
        report: dict[str, Any] = {
            "machine": machine(),
            "rehearsal": asked.rehearse,
            "packages": _versions() | carried,
            "carried": sorted(carried),
            "steps": {},
        }
        deadline = time.monotonic() + asked.limit
        for name in asked.only or STEPS:
            left = deadline - time.monotonic()
            limit = min(STEPS[name], left)
            if limit < 5:
                report["steps"][name] = {"ok": None, "why": f"no time left of {asked.limit} s"}
            else:
                _run(name, limit, environment, report, out, Path(folder), rehearse=asked.rehearse)
            step = report["steps"][name]
            print(f"{_verdict(step)}: {name} ({step.get('seconds', 0)} s)  {step.get('why', '')}", flush=True)
            _write(report, out)
            if step.get("no_gpu") and not asked.rehearse:
                print(f"There is no GPU to check: {step['why']}.")
                return 3
    return int(any(step["ok"] is False for step in report["steps"].values()))


def _run(
    name: str,
    limit: float,
    environment: dict[str, str],
    report: dict[str, Any],
    out: Path,
    folder: Path,
    *,
    rehearse: bool,
) -> None:
    """Run a step in a process group of its own; what it writes goes into the report as it comes."""
    part, log = folder / "part.json", folder / "log"
    part.unlink(missing_ok=True)
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.gpu_steps", name, str(part), str(out), *(["rehearse"] * rehearse)]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        late = False
        while process.poll() is None:
            late = time.monotonic() - began > limit
            if late:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                break
            time.sleep(0.2)
            report["steps"][name] = {"ok": None, "why": "still running", **_read(part)}
            _write(report, out)
    told = _read(part)
    if late:
        told |= {"ok": False, "why": f"did not end within {limit:.0f} s"}
    elif process.returncode or "ok" not in told:
        tail = log.read_text(errors="replace").strip().splitlines()[-12:]
        told |= {"ok": False, "why": f"ended with status {process.returncode}", "log": tail}
    report["steps"][name] = told | {"seconds": round(time.monotonic() - began, 1)}


def _read(part: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(part.read_text())
    except FileNotFoundError:
        return {}
    return told


def _write(report: dict[str, Any], out: Path) -> None:
    whole = out / "gpu-check.json.new"
    whole.write_text(json.dumps(report, indent=2) + "\n")
    whole.replace(out / "gpu-check.json")


def _verdict(step: dict[str, Any]) -> str:
    return {True: "held", False: "did not hold", None: "no verdict"}[step["ok"]]


def download(folder: Path, python: str) -> int:
    """Put the wheels that a bare machine needs into `folder`, for that version of Python. Needs pip and a network."""
    folder.mkdir(parents=True, exist_ok=True)
    target = ["--python-version", python, "--implementation", "cp", "--only-binary", ":all:", "--no-deps"]
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    done = subprocess.run([*pip, *target, *platforms, "--dest", str(folder), *CARRIED], check=False)
    size = sum(wheel.stat().st_size for wheel in folder.glob("*.whl"))
    print(f"{len(list(folder.glob('*.whl')))} wheels for Python {python}, {size / 1e6:.1f} MB, in {folder}")
    return 2 if done.returncode else 0


def unpacked(folder: Path, site: Path) -> dict[str, str]:
    """Unpack each wheel that is newer than what is installed, or not installed; name to version of those."""
    used = {}
    for wheel in sorted(folder.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        name = re.sub(r"[-_.]+", "-", name).lower()
        if _numbers(version) > _numbers(_versions([name]).get(name, "")):
            zipfile.ZipFile(wheel).extractall(site)
            used[name] = version
    return used


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+", maxsplit=1)[0]))


def _environment(site: Path | None, folder: Path) -> dict[str, str]:
    """What was unpacked comes first; caches and logs go where they are removed."""
    path = [str(site)] if site else []
    path += [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    names = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    own = {name: str(folder / name.lower()) for name in names}
    return {**os.environ, **own, **({"PYTHONPATH": os.pathsep.join(path)} if path else {})}


def _versions(names: Iterable[str] = PACKAGES) -> dict[str, str]:
    found = {}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="wheels that came along, as --download made them")
    parser.add_argument("--download", type=Path, metavar="FOLDER", help="put these wheels there, and end")
    parser.add_argument("--python", default="3.12", help="the GPU machine's version, for --download [3.12]")
    parser.add_argument("--only", action="append", choices=STEPS, metavar="STEP", help=f"one of: {', '.join(STEPS)}")
    parser.add_argument("--limit", type=int, default=LIMIT_S, metavar="SECONDS", help=f"for all steps [{LIMIT_S}]")
    parser.add_argument("--rehearse", action="store_true", help="go on without a GPU, on the CPU where a step can")
    parser.add_argument("--out", help="where the report and screenshots go [$OUT, build/gpu-check]")
    asked = parser.parse_args(arguments)
    if asked.wheels and not any(asked.wheels.glob("*.whl")):
        parser.error(f"--wheels {asked.wheels}: no wheel in there; --download makes them")
    return asked


if __name__ == "__main__":
    sys.exit(main())
