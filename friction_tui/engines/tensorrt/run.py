"""Running a built plan on the GPU, on buffers that stay there, so that what is timed is inference alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from friction_tui.engines.base import Array, EngineMissing
from friction_tui.engines.cuda import Cuda
from friction_tui.engines.nvidia import cannot_run, gpus
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.native import logger
from friction_tui.engines.tensorrt.plan import read_plan


class PlanRefused(Exception):
    """TensorRT does not load or run the plan; the text says why, with its own words."""


@dataclass(frozen=True, slots=True)
class Output:
    """An output buffer on the device. `dims` at the shapes that were set; `dtype` None where numpy has no such type."""

    name: str
    dims: tuple[int, ...]
    dtype: np.dtype[np.generic] | None
    pointer: int
    size: int


@dataclass(frozen=True, slots=True)
class LoadedPlan:
    """A plan ready to run at the shapes of the inputs it was loaded with.

    `source` names what runs it, `load_ms` is the time deserialising took.
    """

    source: str
    load_ms: float
    outputs: tuple[Output, ...]
    _context: Native
    _cuda: Cuda
    _stream: int

    def run(self) -> None:
        """Run once and wait for the end. Raises PlanRefused, or CudaFailed for an error on the device."""
        if not self._context.execute_async_v3(self._stream):
            raise PlanRefused(f"{self.source} refused to run the plan at these shapes")
        self._cuda.synchronize(self._stream)

    def results(self) -> dict[str, Array]:
        """Copy the outputs of the last run to the host; those of a type numpy lacks are left out."""
        arrays: dict[str, Array] = {}
        for output in self.outputs:
            if output.dtype is not None:
                array = np.empty(output.dims, output.dtype)
                self._cuda.to_host(array.ctypes.data, output.pointer, array.nbytes, self._stream)
                arrays[output.name] = array
        self._cuda.synchronize(self._stream)
        return arrays


@contextmanager
def loaded(plan: Path, inputs: Mapping[str, Array], *, profile: int = 0, name: str = "") -> Iterator[LoadedPlan]:
    """Deserialise `plan` and put `inputs` on the GPU, for its profile number `profile`; all is given back at the end.

    `name` is the module to use, by default the one that wrote the plan. Raises EngineMissing when nothing can run
    here, PlanRefused when TensorRT does not take the plan or the shapes, CudaFailed for an error of the device.
    """
    if reason := cannot_run():
        raise EngineMissing(f"TensorRT cannot run here: {reason}")
    facts = read_plan(plan)
    trt = module.load(name or (facts.edition if facts else ""))
    complaints: list[str] = []

    def hear(level: str, text: str) -> None:
        if level == "error":
            complaints.append(text)

    log = logger(trt, hear)
    trt.init_libnvinfer_plugins(log, "")
    before = time.perf_counter()
    engine = trt.Runtime(log).deserialize_cuda_engine(plan.read_bytes())
    load_ms = (time.perf_counter() - before) * 1e3
    if engine is None:
        raise PlanRefused(f"{plan.name} was not loaded: {'; '.join(complaints) or 'TensorRT does not say why'}")
    cuda = Cuda()
    with ExitStack() as held:
        context = engine.create_execution_context()
        if context is None:
            raise PlanRefused(f"{plan.name} cannot be prepared: {'; '.join(complaints)}")
        stream = cuda.create_stream()
        held.callback(cuda.destroy_stream, stream)
        if profile and not context.set_optimization_profile_async(profile, stream):
            raise PlanRefused(f"{plan.name} has no optimization profile {profile}: {'; '.join(complaints)}")
        _feed(trt, engine, context, inputs, cuda, stream, held, complaints)
        outputs = _outputs(trt, engine, context, cuda, held)
        cuda.synchronize(stream)
        label = module.label(trt.__name__, trt.__version__)
        gpu = next(iter(gpus()), "GPU").partition(",")[0]
        yield LoadedPlan(f"{label} on {gpu}", load_ms, outputs, context, cuda, stream)


def _feed(
    trt: Native,
    engine: Native,
    context: Native,
    inputs: Mapping[str, Array],
    cuda: Cuda,
    stream: int,
    held: ExitStack,
    complaints: list[str],
) -> None:
    """Set every input's shape and address. Inputs read as shapes stay on the host, the others go to the device."""
    for name in _tensors(engine, trt.TensorIOMode.INPUT):
        array = np.asarray(inputs[name], _numpy_type(trt, engine.get_tensor_dtype(name)), order="C")
        if not context.set_input_shape(name, array.shape):
            raise PlanRefused(f"input {name} cannot have shape {list(array.shape)}: {'; '.join(complaints)}")
        if engine.is_shape_inference_io(name):
            held.enter_context(nullcontext(array))  # kept alive: TensorRT reads it at every run
            context.set_tensor_address(name, array.ctypes.data)
            continue
        pointer = cuda.allocate(array.nbytes)
        held.callback(cuda.free, pointer)
        cuda.to_device(pointer, array.ctypes.data, array.nbytes, stream)
        cuda.synchronize(stream)
        context.set_tensor_address(name, pointer)


def _outputs(trt: Native, engine: Native, context: Native, cuda: Cuda, held: ExitStack) -> tuple[Output, ...]:
    """Give every output a buffer: of its shape, or of the largest size where the data decides."""
    found = []
    for name in _tensors(engine, trt.TensorIOMode.OUTPUT):
        kind = engine.get_tensor_dtype(name)
        dims = tuple(context.get_tensor_shape(name))
        known = all(dim >= 0 for dim in dims)
        size = math.ceil(math.prod(dims) * (kind.itemsize or 1)) if known else context.get_max_output_size(name)
        pointer = cuda.allocate(size)
        held.callback(cuda.free, pointer)
        context.set_tensor_address(name, pointer)
        found.append(Output(name, dims, _numpy_type(trt, kind) if known else None, pointer, size))
    return tuple(found)


def _tensors(engine: Native, mode: Native) -> list[str]:
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    return [name for name in names if engine.get_tensor_mode(name) == mode]


def _numpy_type(trt: Native, kind: Native) -> np.dtype[np.generic] | None:
    try:
        known: np.dtype[np.generic] = np.dtype(trt.nptype(kind))
    except TypeError:  # bfloat16, fp8, int4
        return None
    return known
