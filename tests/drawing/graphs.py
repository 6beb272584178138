"""Synthetic graphs with the shape of real exports; weights and constants are no items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from friction_tui.vocabulary.protocol import Body, GraphData


class Builder:
    """Collects items; `node` gives back the new item's number."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.ops: list[str] = []
        self.paths: list[str] = []
        self.inputs: list[list[int]] = []
        self.scopes: list[int] = []
        self.table: dict[tuple[str, ...], int] = {}
        self.bodies: list[Body] = []
        self.owners: dict[int, list[int]] = {}
        self.main = -1
        self.prefix = ""
        self.count = 0

    def node(self, op: str, scope: str, inputs: Iterable[int] = (), name: str = "") -> int:
        parts = tuple(part for part in scope.split("/") if part)
        self.names.append(name or "/".join(("", *parts, op)))
        self.ops.append(op)
        if op in ("Input", "Output", "<outer>"):
            self.paths.append(self.prefix + {"Input": "<", "Output": ">", "<outer>": "^"}[op] + name)
        else:
            self.paths.append(f"{self.prefix}{self.count}")
            self.count += 1
        self.inputs.append(list(dict.fromkeys(inputs)))
        self.scopes.append(self.table.setdefault(parts, len(self.table)))
        return len(self.ops) - 1

    def input(self, name: str) -> int:
        return self.node("Input", "", (), name)

    def output(self, name: str, source: int) -> int:
        return self.node("Output", "", (source,), name)

    def outer(self, name: str) -> int:
        return self.node("<outer>", "", (), name)

    def chain(self, scope: str, source: int, *ops: str) -> int:
        for op in ops:
            source = self.node(op, scope, (source,))
        return source

    def end_main(self) -> None:
        self.main = len(self.ops)

    def begin_body(self, owner: int, label: str) -> tuple[int, str, int]:
        self.prefix, self.count = f"{self.paths[owner]}.{label}.", 0
        return owner, label, len(self.ops)

    def end_body(self, begun: tuple[int, str, int]) -> None:
        owner, label, first = begun
        self.bodies.append(Body(label, first, len(self.ops)))
        self.owners.setdefault(owner, []).append(len(self.bodies) - 1)

    def graph(self) -> GraphData:
        return GraphData(
            names=self.names,
            ops=self.ops,
            paths=self.paths,
            inputs=self.inputs,
            scopes=self.scopes,
            scope_table=list(self.table),
            order=[],
            main=len(self.ops) if self.main < 0 else self.main,
            bodies=self.bodies,
            owners=self.owners,
        )


def resnet(blocks: int) -> GraphData:
    b = Builder()
    x = b.input("images")
    x = b.chain("stem", x, "Conv", "Relu", "MaxPool")
    for k in range(blocks):
        scope = f"layer{k // 4 + 1}/{k % 4}"
        y = b.chain(f"{scope}/conv1", x, "Conv")
        y = b.chain(f"{scope}/relu", y, "Relu")
        y = b.chain(f"{scope}/conv2", y, "Conv")
        y = b.chain(f"{scope}/relu_1", y, "Relu")
        y = b.chain(f"{scope}/conv3", y, "Conv")
        skip = b.chain(f"{scope}/downsample", x, "Conv") if k % 4 == 0 else x
        x = b.node("Add", scope, (y, skip))
        x = b.node("Relu", scope, (x,))
    x = b.chain("", x, "GlobalAveragePool", "Flatten")
    b.output("logits", b.chain("fc", x, "Gemm"))
    return b.graph()


def llama(layers: int) -> GraphData:
    """As torch.onnx exports it with a KV cache: mask, cos, sin and the sequence length feed every layer."""
    b = Builder()
    ids, attention = b.input("input_ids"), b.input("attention_mask")
    x = b.node("Gather", "model/embed_tokens", (ids,))
    length = b.chain("model", ids, "Shape", "Gather")
    angle = b.chain("model/rotary_emb", b.chain("model", length, "Range", "Unsqueeze"), "Cast", "MatMul", "Concat")
    cos, sin = b.node("Cos", "model/rotary_emb", (angle,)), b.node("Sin", "model/rotary_emb", (angle,))
    triangle = b.node("Trilu", "model", (length,))
    mask = b.node("Add", "model", (b.chain("model", attention, "Cast", "Sub", "Where"), triangle))
    for k in range(layers):
        x = _decoder_layer(b, f"model/layers.{k}", k, x, cos, sin, mask)
    x = b.chain("lm_head", _norm(b, "model/norm", x), "MatMul")
    b.output("logits", x)
    return b.graph()


def _norm(b: Builder, scope: str, x: int) -> int:
    wide = b.chain(scope, x, "Cast")
    scale = b.chain(scope, wide, "Pow", "ReduceMean", "Add", "Sqrt", "Reciprocal")
    return b.chain(scope, b.node("Mul", scope, (wide, scale)), "Cast", "Mul")


def _decoder_layer(b: Builder, scope: str, number: int, x: int, cos: int, sin: int, mask: int) -> int:
    attn = f"{scope}/self_attn"
    h = _norm(b, f"{scope}/input_layernorm", x)
    batch = b.chain(attn, h, "Shape", "Gather")

    def heads(name: str) -> int:
        target = b.chain(attn, batch, "Unsqueeze", "Concat")
        return b.chain(attn, b.node("Reshape", attn, (b.chain(f"{attn}/{name}", h, "MatMul"), target)), "Transpose")

    def rope(y: int) -> int:
        straight = b.node("Mul", attn, (y, cos))
        half, other = b.chain(attn, y, "Slice"), b.chain(attn, y, "Slice", "Neg")
        turned = b.node("Mul", attn, (b.node("Concat", attn, (other, half)), sin))
        return b.node("Add", attn, (straight, turned))

    q, k, v = rope(heads("q_proj")), rope(heads("k_proj")), heads("v_proj")
    k = b.node("Concat", attn, (b.input(f"past_key_values.{number}.key"), k))
    v = b.node("Concat", attn, (b.input(f"past_key_values.{number}.value"), v))
    b.output(f"present.{number}.key", k)
    b.output(f"present.{number}.value", v)
    scores = b.node("MatMul", attn, (q, b.chain(attn, k, "Transpose")))
    scores = b.chain(attn, b.node("Add", attn, (b.chain(attn, scores, "Mul"), mask)), "Softmax")
    mixed = b.chain(attn, b.node("MatMul", attn, (scores, v)), "Transpose")
    mixed = b.node("Reshape", attn, (mixed, b.chain(attn, batch, "Unsqueeze", "Concat")))
    x = b.node("Add", scope, (x, b.chain(f"{attn}/o_proj", mixed, "MatMul")))
    h = _norm(b, f"{scope}/post_attention_layernorm", x)
    gate = b.chain(f"{scope}/mlp/gate_proj", h, "MatMul")
    gate = b.node("Mul", "model/act_fn", (gate, b.chain("model/act_fn", gate, "Sigmoid")))
    up = b.chain(f"{scope}/mlp/up_proj", h, "MatMul")
    down = b.chain(f"{scope}/mlp/down_proj", b.node("Mul", f"{scope}/mlp", (gate, up)), "MatMul")
    return b.node("Add", scope, (x, down))


def inception(blocks: int) -> GraphData:
    b = Builder()
    x = b.chain("stem", b.input("images"), "Conv", "Relu")
    for k in range(blocks):
        scope = f"mixed_{k}"
        one = b.chain(f"{scope}/branch1x1", x, "Conv", "Relu")
        five = b.chain(f"{scope}/branch5x5", x, "Conv", "Relu", "Conv", "Relu")
        three = b.chain(f"{scope}/branch3x3dbl", x, "Conv", "Relu", "Conv", "Relu", "Conv", "Relu")
        pool = b.chain(f"{scope}/branch_pool", x, "AveragePool", "Conv", "Relu")
        x = b.node("Concat", scope, (one, five, three, pool))
    b.output("logits", b.chain("fc", x, "GlobalAveragePool", "Gemm"))
    return b.graph()


def unet(depth: int, repeats: int = 1) -> GraphData:
    b = Builder()
    x, step = b.input("sample"), b.input("timestep")
    embedding = b.chain("time_embedding", step, "Gemm", "Sigmoid", "Gemm")

    def block(scope: str, x: int) -> int:
        y = b.chain(f"{scope}/norm1", x, "InstanceNormalization", "Sigmoid")
        y = b.chain(f"{scope}/conv1", y, "Conv")
        y = b.node("Add", scope, (y, b.chain(f"{scope}/time_emb_proj", embedding, "Gemm")))
        return b.node("Add", scope, (x, b.chain(f"{scope}/conv2", y, "Sigmoid", "Conv")))

    for r in range(repeats):
        prefix = f"unet{r}/" if repeats > 1 else ""
        skips = []
        for d in range(depth):
            for k in range(2):
                x = block(f"{prefix}down.{d}/resnets.{k}", x)
                skips.append(x)
            x = b.chain(f"{prefix}down.{d}/downsample", x, "Conv")
        x = block(f"{prefix}mid", x)
        for d in range(depth):
            x = b.chain(f"{prefix}up.{d}/upsample", x, "Resize")
            for k in range(2):
                x = block(f"{prefix}up.{d}/resnets.{k}", b.node("Concat", f"{prefix}up.{d}", (x, skips.pop())))
    b.output("out_sample", x)
    return b.graph()


def densenet(blocks: Sequence[int]) -> GraphData:
    b = Builder()
    x = b.input("images")
    for k, layers in enumerate(blocks):
        features = [x]
        for layer in range(layers):
            scope = f"features/denseblock{k + 1}/denselayer{layer + 1}"
            y = b.node("Concat", scope, features) if layer else x
            features.append(b.chain(scope, y, "Relu", "Conv", "Conv"))
        x = b.node("Concat", f"features/denseblock{k + 1}", features)
        x = b.chain(f"features/transition{k + 1}", x, "Conv", "AveragePool")
    b.output("logits", x)
    return b.graph()


def control_flow() -> GraphData:
    """An If with two branches, one of them with a Loop inside, reading values of the graph around."""
    b = Builder()
    tokens, limit = b.input("tokens"), b.input("max_len")
    h = b.chain("enc", tokens, "Gather", "MatMul", "Tanh")
    test = b.chain("enc", h, "Shape", "Greater")
    branch = b.node("If", "", (test, h), "/If")
    loop = b.node("Loop", "", (limit, branch, h), "/Loop")
    b.output("ids", loop)
    b.output("probs", b.chain("head", loop, "Softmax"))
    b.end_main()
    body = b.begin_body(branch, "then_branch")
    b.output("if_out", b.chain("then", b.outer("tanh_out"), "ReduceMax", "Identity"))
    b.end_body(body)
    body = b.begin_body(branch, "else_branch")
    x = b.outer("tanh_out")
    boxes = b.node("NonMaxSuppression", "", (x,))
    inner = b.node("Loop", "", (b.node("Gather", "", (x, boxes)), x))
    b.output("if_out", b.node("ReduceMean", "", (inner,)))
    b.end_body(body)
    body = b.begin_body(inner, "body")
    state = b.input("state")
    b.output("state_out", b.node("Add", "", (state, b.outer("nms_boxes"))))
    b.end_body(body)
    body = b.begin_body(loop, "body")
    b.input("iter")
    condition, state, memory = b.input("cond"), b.input("state"), b.outer("tanh_out")
    scores = b.chain("dec/attn", b.node("MatMul", "dec/attn", (state, memory)), "Softmax")
    cell = b.node("GRU", "dec/rnn", (b.node("MatMul", "dec/attn", (scores, memory)), state))
    token = b.chain("dec", cell, "ArgMax")
    b.output("cond_out", b.node("And", "dec", (b.chain("dec", token, "Equal", "Not"), condition)))
    b.output("state_out", cell)
    b.output("tok_out", token)
    b.end_body(body)
    return b.graph()


def sized(kind: str, nodes: int) -> GraphData:
    """A graph of about so many items."""
    if kind == "resnet":
        return resnet(max(1, nodes * 4 // 33))
    if kind == "llama":
        return llama(max(1, round((nodes - 30) / 67)))
    if kind == "inception":
        return inception(max(1, nodes // 18))
    if kind == "densenet":
        return densenet([24] * max(1, nodes // 100))
    return unet(4, max(1, nodes // 170))
