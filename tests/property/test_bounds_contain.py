"""No sample lies outside a bound: random networks, pairs, regions and dtypes, zero tolerance."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.methods.base import Bounds, Method
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic, propagated
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.ops.add import Add
from lipcert.ops.clip import Clip
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_sigmoid import HardSigmoid
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Ball, Box, Grid, Region

METHODS: tuple[Method, ...] = (IntervalArithmetic(), Crown(), TwinBounds())
ROWS, SAMPLES = 2, 24
PIECEWISE = (Relu(), LeakyRelu(torch.tensor(0.1).double()), Clip(0.0, 6.0), Clip(-0.7, 0.9),
             HardSigmoid(0.2, 0.5), LeakyRelu(torch.tensor(-0.25).double()))  # fmt: skip
SMOOTH = (Sigmoid(), Tanh(), Gelu(), HardSwish())


@dataclass(frozen=True)
class Plan:
    """What a random pair is made of; the numbers come from the seed."""

    seed: int
    convolutions: int
    layers: int
    width: int
    activations: tuple[int, ...]
    joints: tuple[str, ...]
    compression: str
    spread: float
    ending: str

    def activation(self, place: int) -> Elementwise:
        choice = self.activations[place % len(self.activations)]
        return (*PIECEWISE, *SMOOTH)[choice]


class Builder:
    """Adds nodes one behind the other."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.nodes = [Node("x", None, (), shape)]

    def add(self, op: Op, *inputs: Node) -> Node:
        reads = inputs or (self.nodes[-1],)
        shape = op.shape(*(node.shape for node in reads))
        self.nodes.append(Node(f"n{len(self.nodes)}", op, tuple(n.name for n in reads), shape))
        return self.nodes[-1]


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def network(plan: Plan) -> LayerGraph:
    generator = torch.Generator().manual_seed(plan.seed)
    builder = Builder((2, 5, 4) if plan.convolutions else (4,))
    for place in range(plan.convolutions):
        add_convolution(builder, plan, place, generator)
    if plan.convolutions:
        shape = builder.nodes[-1].shape
        builder.add(Reshape(shape, (math.prod(shape),)))
    for place in range(plan.layers):
        add_layer(builder, plan, place, generator)
    add_linear(builder, 3, generator, plan.spread)
    if plan.ending == "softmax":
        builder.add(Softmax())
    return LayerGraph(tuple(builder.nodes))


def add_linear(builder: Builder, width: int, generator: torch.Generator, spread: float) -> Node:
    size = builder.nodes[-1].shape[-1]
    weight = normal(generator, width, size) / math.sqrt(size)
    scales = spread ** torch.randint(-1, 2, (width, 1), generator=generator).double()
    return builder.add(Linear(weight * scales, normal(generator, width) / 4))


def add_layer(builder: Builder, plan: Plan, place: int, generator: torch.Generator) -> None:
    before = builder.nodes[-1]
    add_linear(builder, plan.width, generator, plan.spread)
    value = builder.add(plan.activation(place))
    match plan.joints[place % len(plan.joints)]:
        case "add" if before.shape == value.shape:
            builder.add(Add((1, 1)), before, value)
        case "subtract" if before.shape == value.shape:
            builder.add(Add((-1, 1)), value, before)
        case "concat":
            builder.add(Concat(0, (before.shape[0], value.shape[0])), before, value)
        case "scale":
            builder.add(Scale(normal(generator, plan.width), normal(generator, 1)))
        case _:
            pass


def add_convolution(builder: Builder, plan: Plan, place: int, generator: torch.Generator) -> None:
    before = builder.nodes[-1]
    kernel, pads, stride, groups = [
        ((3, 3), (1, 1, 1, 1), (1, 1), 1),
        ((3, 1), (2, 0, 0, 0), (1, 1), 2),
        ((2, 3), (0, 1, 1, 0), (2, 1), 1),
    ][(plan.seed + place) % 3]
    weight = normal(generator, 2, 2 // groups, *kernel)
    bias = normal(generator, 2) / 4
    builder.add(Conv(weight, bias, before.shape, stride, (1, 1), pads, groups))
    value = builder.add(plan.activation(place))
    if plan.joints[place % len(plan.joints)] == "add" and before.shape == value.shape:
        builder.add(Add((1, 1)), before, value)


def compressed(graph: LayerGraph, plan: Plan) -> LayerGraph:
    """The same nodes with other weights, and perhaps a quantiser behind every activation."""
    generator = torch.Generator().manual_seed(plan.seed + 1)
    nodes: list[Node] = []
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        op = node.op and changed(node.op, plan.compression, generator)
        nodes.append(Node(node.name, op, tuple(renamed[n] for n in node.inputs), node.shape))
        renamed[node.name] = node.name
        if plan.compression == "quantised" and isinstance(node.op, Elementwise):
            scale, low, high = (torch.tensor(v).double() for v in (0.0625, -16.0, 40.0))
            name = f"{node.name}.q"
            nodes.append(Node(name, Quantize(scale, low, high), (node.name,), node.shape))
            renamed[node.name] = name
    return LayerGraph(tuple(nodes))


def changed(op: Op, compression: str, generator: torch.Generator) -> Op:
    if not isinstance(op, Linear | Conv | Scale | LeakyRelu):
        return op
    rule = CHANGES[compression]
    tensors = {f.name: getattr(op, f.name) for f in fields(op)}
    new = {k: rule(v, generator) for k, v in tensors.items() if isinstance(v, Tensor)}
    return replace(op, **new)


Change = Callable[[Tensor, torch.Generator], Tensor]
CHANGES: dict[str, Change] = {
    "same": lambda v, _: v,
    "8 bits": lambda v, _: rounded(v, 7),
    "3 bits": lambda v, _: rounded(v, 2),
    "quantised": lambda v, _: rounded(v, 7),
    "float16": lambda v, _: v.clamp(-6e4, 6e4).half().double(),
    "nudged": lambda v, g: v * (1 + 1e-12 * normal(g, *v.shape)),
    "pruned": lambda v, g: v * (torch.rand(v.shape, generator=g) < 0.6) if v.ndim > 1 else v,
}


def rounded(value: Tensor, bits: int) -> Tensor:
    step = value.abs().amax() / 2**bits
    return (value / step).round() * step if bool(step > 0) else value


@st.composite
def plans(draw: st.DrawFn, *, exact: bool = False, small: bool = False) -> Plan:
    names = [name for name in CHANGES if name != "float16"] if exact else list(CHANGES)
    last = len(PIECEWISE) if exact else len(PIECEWISE) + len(SMOOTH)
    choices = st.one_of(st.just(0), st.integers(0, last - 1))
    joints = st.sampled_from(["none", "add", "subtract", "concat", "scale"])
    return Plan(
        draw(st.integers(0, 2**31)),
        0 if small else draw(st.sampled_from([0, 0, 1, 2])),
        draw(st.integers(1, 3)),
        draw(st.sampled_from([2, 4])),
        tuple(draw(st.lists(choices, min_size=1, max_size=3))),
        tuple(draw(st.lists(joints, min_size=1, max_size=3))),
        draw(st.sampled_from(names)),
        1.0 if draw(st.booleans()) else draw(st.sampled_from([16.0, 2.0**24])),
        "" if exact else draw(st.sampled_from(["", "", "softmax"])),
    )


EPS = st.sampled_from([0.0, 1e-8, 1e-6, 1e-4, 1e-2, 0.1, 1.0])
KINDS = st.sampled_from(["box", "box", "ball", "grid"])


def region_of(plan: Plan, eps: float, kind: str) -> Region:
    generator = torch.Generator().manual_seed(plan.seed + 2)
    centre = normal(generator, ROWS, *((2, 5, 4) if plan.convolutions else (4,)))
    if kind == "grid":
        return Grid.around((centre * 16).round() / 16, eps, step=0.0625)
    return Ball.around(centre, eps) if kind == "ball" else Box.around(centre, eps)


def samples(region: Region, seed: int) -> Tensor:
    """Members of every row, (samples, rows, *shape): random ones, corners, centres."""
    generator = torch.Generator().manual_seed(seed)
    rows, hull = torch.arange(region.batch), region.hull
    found = [region.sample(rows, generator) for _ in range(SAMPLES // 2)]
    for _ in range(SAMPLES // 2):
        side = torch.rand(hull.lower.shape, generator=generator) < 0.5
        found.append(region.project(torch.where(side, hull.lower, hull.upper), rows))
    return torch.stack([*found, region.project(hull.centre, rows)])


def seen(f: LayerGraph, g: LayerGraph, points: Tensor) -> tuple[Interval, Interval, Interval]:
    """What f, g and g - f are at points, up to the rounding of float64: (samples, rows, outputs).

    Twin bounds at a point are tighter than a difference of two float64 evaluations is right.
    """
    bodies = [LayerGraph(n.nodes[:-1]) if isinstance(n.output.op, Softmax) else n for n in (f, g)]
    boxes = [propagated(n, Interval.point(points.flatten(0, 1))) for n in bodies]
    if bodies[0] is not f:
        boxes = [Softmax().image(box) for box in boxes]
    values = [Interval(b.lower.view(-1, ROWS, 3), b.upper.view(-1, ROWS, 3)) for b in boxes]
    return values[0], values[1], values[1].minus(values[0])


def holds(box: Interval, value: Interval) -> bool:
    """No sample is outside; NaN is."""
    lower, upper = box.lower.double(), box.upper.double()
    return bool(((lower <= value.upper) & (value.lower <= upper) & (lower <= upper)).all())


def proved(pair: Pair, region: Region, dtype: torch.dtype) -> list[Bounds]:
    placement = Placement(dtype=dtype, memory=2**28)
    return [method.certify(pair, region, placement) for method in METHODS]


def within(inner: Interval, outer: Interval, slack: float = 0.0) -> bool:
    more = slack * (1 + outer.lower.abs().maximum(outer.upper.abs()))
    return bool(((inner.lower >= outer.lower - more) & (inner.upper <= outer.upper + more)).all())


@settings(max_examples=50)
@given(plans(), EPS, KINDS, st.sampled_from([torch.float64, torch.float32]))
def test_samples_lie_inside(plan: Plan, eps: float, kind: str, dtype: torch.dtype) -> None:
    f = network(plan)
    g = compressed(f, plan)
    pair, region = Pair.of(f, g), region_of(plan, eps, kind)
    assert pair.aligned
    points = samples(region, plan.seed)
    first, second, drift = seen(f, g, points)
    labels = [n(points.flatten(0, 1)).argmax(-1).view(-1, ROWS) for n in (f, g)]
    same = (labels[0] == labels[1]) & (labels[0] == labels[0][0])
    interval, crown, twin = proved(pair, region, dtype)
    for bounds in (interval, crown, twin):
        assert holds(bounds.original, first)
        assert holds(bounds.compressed, second)
        assert holds(bounds.drift, drift)
        assert bool(same.all(0)[bounds.agree].all())
    assert within(twin.drift, crown.drift, 1e-6 if plan.ending else 0.0)
    assert bool((crown.agree <= twin.agree).all())


@settings(max_examples=40)
@given(plans(exact=True, small=True), EPS, KINDS, st.sampled_from([torch.float64, torch.float32]))
def test_exact_values_lie_inside(plan: Plan, eps: float, kind: str, dtype: torch.dtype) -> None:
    f = network(plan)
    g = compressed(f, plan)
    region = region_of(plan, eps, kind)
    every = proved(Pair.of(f, g), region, dtype)
    points = samples(region, plan.seed)
    for point in points[[0, 1, 14, 15, -1]]:
        for row in range(ROWS):
            x = [Fraction(v) for v in point[row].tolist()]
            first, second = exact(f, x), exact(g, x)
            drift = [b - a for a, b in zip(first, second, strict=True)]
            for bounds in every:
                for box, values in (
                    (bounds.drift, drift), (bounds.original, first), (bounds.compressed, second)
                ):  # fmt: skip
                    ends = zip(
                        box.lower[row].tolist(), values, box.upper[row].tolist(), strict=True
                    )
                    assert all(Fraction(low) <= v <= Fraction(high) for low, v, high in ends)


@settings(max_examples=20)
@given(plans(exact=True), EPS.filter(bool))
def test_tighter_methods_and_smaller_regions(plan: Plan, eps: float) -> None:
    """CROWN lies in interval arithmetic; a point's drift has no width beyond rounding."""
    plan = replace(plan, spread=1.0)
    f = network(plan)
    pair = Pair.of(f, compressed(f, plan))
    interval, crown, _ = proved(pair, region_of(plan, eps, "box"), torch.float64)
    assert within(crown.drift, interval.drift, 1e-9)
    assert within(crown.original, interval.original, 1e-9)
    if plan.compression != "quantised":
        for bounds in proved(pair, region_of(plan, 0.0, "box"), torch.float64):
            assert bool((bounds.drift.upper - bounds.drift.lower <= 1e-9).all())


def exact(graph: LayerGraph, x: list[Fraction]) -> list[Fraction]:
    """The network's output in rational arithmetic; weights are floats, which are rationals."""
    values = {graph.input.name: x}
    shapes = {node.name: node.shape for node in graph.nodes}
    for node in graph.nodes[1:]:
        reads = [v for name in node.inputs for v in values[name]]
        if isinstance(node.op, Affine):
            values[node.name] = exact_affine(node, [shapes[n] for n in node.inputs], reads)
        else:
            assert isinstance(node.op, Elementwise)
            values[node.name] = [exact_value(node.op, v) for v in reads]
    return values[graph.output.name]


def exact_affine(
    node: Node, shapes: list[tuple[int, ...]], reads: list[Fraction]
) -> list[Fraction]:
    op = node.op
    assert isinstance(op, Affine)
    sizes = [math.prod(shape) for shape in shapes]
    units = torch.eye(len(reads), dtype=torch.float64).split(sizes, 1)
    parts = [unit.view(-1, *shape) for unit, shape in zip(units, shapes, strict=True)]
    rows = op.linear(*parts).flatten(1).T.tolist()  # exact: one weight each
    constant = op.constant(torch.zeros(1, *node.shape, dtype=torch.float64))
    shift = torch.zeros(node.shape, dtype=torch.float64)
    shift = shift if constant is None else constant.expand(1, *node.shape)[0]
    return [
        sum((Fraction(w) * v for w, v in zip(row, reads, strict=True) if w), Fraction(add))
        for row, add in zip(rows, shift.flatten().tolist(), strict=True)
    ]


def exact_value(op: Elementwise, x: Fraction) -> Fraction:
    match op:
        case LeakyRelu():
            value = x if x >= 0 else x * Fraction(op.negative_slope.item())
        case Clip():
            value = min(max(x, Fraction(op.low)), Fraction(op.high))
        case HardSigmoid():
            line = Fraction(op.alpha) * x + Fraction(op.beta)
            value = min(max(line, Fraction(0)), Fraction(1))
        case Quantize():
            ends = (Fraction(v.item()) for v in (op.scale, op.lowest, op.highest))
            scale, low, high = ends
            value = scale * min(max(Fraction(round(x / scale)), low), high)
        case _:
            assert isinstance(op, Relu)
            value = max(x, Fraction(0))
    return value
