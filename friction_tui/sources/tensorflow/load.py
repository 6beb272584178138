"""TensorFlow and Keras models as one thing: a graph with its weights in it, and a way to run the original.

Runs in the export process, after consent.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from friction_tui.sources import python_code
from friction_tui.sources.agreed_code import place
from friction_tui.sources.python_code import CannotBuild
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.sources.tensorflow.lines import Lines, of_function, of_saved_model
from friction_tui.sources.watch import project_files, project_root
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.recipe import InputSpec, Source

Array = np.ndarray[Any, Any]
Run = Callable[[Mapping[str, Array]], Sequence[Array]]

_VARIABLES = {"VariableV2", "Variable", "VarHandleOp"}


class NeedsInput(CannotBuild):
    """The model does not say how many dimensions an input has, and neither did the user."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with its weights frozen into `graph`, a GraphDef. `inputs` and `outputs` map tensor names to ONNX names.

    `run` computes the original's outputs, in the order of `outputs`, from arrays by ONNX input name. `lines` are the
    Python lines of its operations. `remarks` say what was chosen without being asked.
    """

    graph: Any
    inputs: dict[str, str]
    outputs: dict[str, str]
    run: Run
    lines: Lines = field(default_factory=Lines)
    remarks: tuple[str, ...] = ()
    watch: tuple[Path, ...] = ()


def load(source: Source) -> Loaded:
    """The model that `source` names; TFLite files are not loaded this way.

    Raises CannotBuild, in words for the user, for a file that holds no such model, and whatever TensorFlow raises.
    """
    path = Path(source.path)
    if path.suffix == ".py":
        return _from_factory(source)
    if path.is_dir():
        return _saved_model(path, source)
    if path.suffix.lower() in {".keras", ".h5", ".hdf5"}:
        import keras

        # The user agreed to run what is in the file, for exactly these bytes: a Lambda layer is pickled Python.
        return _keras(keras.models.load_model(place(path), compile=False, safe_mode=False), source, {})
    return _frozen_graph(place(path))


def _from_factory(source: Source) -> Loaded:
    code = python_code.load(source.path)
    factory = python_code.named(code, source.factory)
    with _constructions() as made_at:
        made = factory() if callable(factory) and not isinstance(factory, tf.Module) else factory
    model = made[0] if isinstance(made, tuple) else made
    file = Path(code.__file__ or source.path)
    watch = project_files(project_root(file))
    if hasattr(model, "get_concrete_function"):
        concrete = model.get_concrete_function()
        return _function(concrete, model, {}, of_function(concrete, made_at), watch)
    if not hasattr(model, "inputs") or not hasattr(model, "layers"):
        raise CannotBuild(
            f"{source.factory}() returned {type(model).__name__}; it must return a keras.Model, or a tf.function with "
            "an input_signature"
        )
    return _keras(model, source, made_at, watch)


@contextmanager
def _constructions() -> Iterator[dict[str, SourceLine]]:
    """Layer name to the user's line that made the layer, filled while the context lasts."""
    import keras

    made_at: dict[str, SourceLine] = {}
    original = keras.layers.Layer.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if lines := of_stack_text("".join(traceback.format_stack())):
            made_at.setdefault(self.name, lines[-1])

    keras.layers.Layer.__init__ = init
    try:
        yield made_at
    finally:
        keras.layers.Layer.__init__ = original


def _keras(model: Any, source: Source, made_at: dict[str, SourceLine], watch: tuple[Path, ...] = ()) -> Loaded:
    if not model.inputs:
        raise CannotBuild(
            f"The model {model.name} was never called, so its inputs are not known: call it once on example data "
            "before saving it, or export a SavedModel with `model.export(folder)`"
        )
    signature = [_spec(t.name.partition(":")[0], t.shape, t.dtype, source.inputs) for t in model.inputs]

    def infer(*tensors: Any) -> Any:
        return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

    concrete = tf.function(infer).get_concrete_function(*signature)
    names = _unique([spec.name for spec in signature])
    labels = list(model.output_names) if hasattr(model, "output_names") else []

    def run(feed: Mapping[str, Array]) -> list[Array]:
        return _arrays(infer(*(tf.constant(feed[name]) for name in names)))

    return _loaded(
        concrete,
        names,
        labels,
        run,
        of_function(concrete, {layer.name: made_at.get(layer.name) for layer in model._flatten_layers()}),
        watch=watch,
    )


def _saved_model(path: Path, source: Source) -> Loaded:
    """A SavedModel through the signature the user named, its serving signature, or its first one."""
    loaded = tf.saved_model.load(str(place(path)))
    signatures = dict(loaded.signatures)
    if source.factory and source.factory not in signatures:
        raise CannotBuild(f"{path.name} has no signature {source.factory}; it has {', '.join(signatures) or 'none'}")
    if not signatures:
        raise CannotBuild(_no_signature(loaded))
    name = source.factory or ("serving_default" if "serving_default" in signatures else min(signatures))
    others = sorted(set(signatures) - {name})
    remarks: tuple[str, ...] = ()
    if others and not source.factory and name != "serving_default":
        remarks = (f"{path.name} has no serving_default: signature {name} is shown. {path}:{others[0]} opens another.",)
    concrete = signatures[name]
    specs = concrete.structured_input_signature[1]
    signature = [_spec(key, spec.shape, spec.dtype, source.inputs) for key, spec in specs.items()]
    if any(spec.shape.rank != specs[spec.name].shape.rank for spec in signature):

        def ranked(*tensors: Any) -> Any:
            return concrete(**dict(zip(specs, tensors, strict=True)))

        traced = tf.function(ranked).get_concrete_function(*signature)
        return _function(traced, concrete, specs, of_saved_model(path), (), remarks)
    return _function(concrete, concrete, specs, of_saved_model(path), (), remarks)


def _function(
    concrete: Any,
    original: Any,
    specs: Mapping[str, Any],
    lines: Lines,
    watch: tuple[Path, ...],
    remarks: tuple[str, ...] = (),
) -> Loaded:
    """A concrete function; `specs` are the keyword arguments `original` takes, none when they are positional."""
    captured = {id(tensor) for tensor in concrete.graph.internal_captures}
    own = [tensor for tensor in concrete.inputs if id(tensor) not in captured]
    # Placeholders are called like the signature's keywords, whose own order is not that of the tensors.
    names = [tensor.name.partition(":")[0] for tensor in own]
    if specs and set(names) != set(specs):
        names = sorted(specs)
    _with_rank(names, own)

    def run(feed: Mapping[str, Array]) -> list[Array]:
        tensors = {name: tf.constant(feed[name]) for name in names}
        return _arrays(original(**tensors) if specs else original(*tensors.values()))

    outputs = concrete.structured_outputs
    labels = sorted(outputs) if isinstance(outputs, dict) else []
    return _loaded(concrete, names, labels, run, lines, remarks, watch)


def _loaded(
    concrete: Any,
    names: Sequence[str],
    labels: Sequence[str],
    run: Run,
    lines: Lines,
    remarks: tuple[str, ...] = (),
    watch: tuple[Path, ...] = (),
) -> Loaded:
    """The function with its variables and captured constants inside; a capture left as an input would be fed noise."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)
    tensors = [tensor.name for tensor in frozen.inputs if tensor.dtype != tf.resource]
    results = [tensor.name for tensor in frozen.outputs]
    called = labels if len(labels) == len(results) else [f"output_{n}" for n in range(len(results))]
    inputs = dict(zip(tensors, names, strict=True))
    return Loaded(
        frozen.graph.as_graph_def(add_shapes=True), inputs, _apart(results, called, names), run, lines, remarks, watch
    )


def _frozen_graph(path: Path) -> Loaded:
    """A frozen GraphDef: its placeholders are the inputs, what nobody reads are the outputs."""
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    variables = [node.name for node in graph.node if node.op in _VARIABLES]
    if variables:
        raise CannotBuild(
            f"The graph is not frozen: {len(variables)} variables ({', '.join(variables[:3])}) have no values in "
            f"{path.name}. Freeze it where its checkpoint is, with "
            "tf.compat.v1.graph_util.convert_variables_to_constants(session, graph_def, output_names)"
        )
    inputs = {f"{node.name}:0": node.name for node in graph.node if node.op == "Placeholder"}
    read = {name.partition(":")[0].lstrip("^") for node in graph.node for name in node.input}
    ends = [n.name for n in graph.node if n.name not in read and n.op not in {"Const", "NoOp", "Placeholder"}]
    if not inputs or not ends:
        raise CannotBuild(f"The graph in {path.name} has no {'outputs' if inputs else 'Placeholder, so no inputs'}")

    def imported() -> None:
        tf.graph_util.import_graph_def(graph, name="")

    wrapped = tf.compat.v1.wrap_function(imported, [])
    function = wrapped.prune(list(inputs), [f"{name}:0" for name in ends])
    _with_rank(list(inputs.values()), function.inputs)

    def run(feed: Mapping[str, Array]) -> list[Array]:
        return _arrays(function(*(tf.constant(feed[name]) for name in inputs.values())))

    results = [f"{name}:0" for name in ends]
    return Loaded(graph, inputs, _apart(results, ends, list(inputs.values())), run)


def _spec(name: str, shape: Any, dtype: Any, given: Sequence[InputSpec]) -> Any:
    """An input's signature. One of unknown rank takes that of the `--input` of its name."""
    shape = tf.TensorShape(shape)
    match = next((spec for spec in given if spec.name == name), None)
    if shape.rank is None and match:
        shape = tf.TensorShape([None] * len(match.shape))
    return tf.TensorSpec(shape, dtype, name=name)


def _with_rank(names: Sequence[str], tensors: Sequence[Any]) -> None:
    for name, tensor in zip(names, tensors, strict=False):
        if tensor.shape.rank is None:
            raise NeedsInput(
                f"Input {name} has no known number of dimensions, and ONNX needs one. Give it, as in "
                f"--input {name}:1x8:{tensor.dtype.name}, or save the model with an input_signature"
            )


def _no_signature(loaded: Any) -> str:
    """What to write to get a signature, from the functions that were traced before saving."""
    for attribute in ("__call__", "serve", "call"):
        traced = getattr(getattr(loaded, attribute, None), "concrete_functions", None)
        if traced:
            specs = [spec for spec in tf.nest.flatten(traced[0].structured_input_signature) if hasattr(spec, "shape")]
            written = ", ".join(f"tf.TensorSpec({_free_batch(spec.shape)}, tf.{spec.dtype.name})" for spec in specs)
            return (
                "The SavedModel has no signature; save it with tf.saved_model.save(model, folder, "
                f"signatures=model.{attribute}.get_concrete_function({written}))"
            )
    return "The SavedModel has no signature and no traced function; save it with `model.export(folder)`"


def _free_batch(shape: Any) -> list[int | None]:
    return [None, *shape[1:]] if shape.rank else []


def _unique(names: Sequence[str]) -> list[str]:
    return [name if names.index(name) == at else f"{name}_{at}" for at, name in enumerate(names)]


def _apart(results: Sequence[str], called: Sequence[str], inputs: Sequence[str]) -> dict[str, str]:
    """Tensor name to output name; an output that is called like an input would become that input in ONNX."""
    taken, found = set(inputs), {}
    for tensor, name in zip(results, called, strict=True):
        while name in taken:
            name = f"{name}_out"  # noqa: PLW2901 - until it is free
        taken.add(name)
        found[tensor] = name
    return found


def _arrays(result: Any) -> list[Array]:
    return [np.asarray(value) for value in tf.nest.flatten(result)]
