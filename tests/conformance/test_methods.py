"""Every method in lipcert/methods: samples inside, on made networks, on real ones, on old holes."""

import gzip
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert.errors import LipcertError
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.methods import scan
from lipcert.methods.base import Bounds, Method
from lipcert.methods.interval import propagated
from lipcert.numeric.placement import Placement
from lipcert.ops.add import Add
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.softmax import Softmax
from lipcert.read import read_onnx
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Ball, Box, Region

QUICK = {"sdp": {"limit_seconds": 0.1}}  # a search that is cut short is proved all the same
METHODS = [pytest.param(kind(**QUICK.get(n, {})), id=n) for n, kind in scan().items()]
DTYPES = [
    pytest.param(torch.float64, id="float64"),
    pytest.param(torch.float32, id="float32"),
]
EVERY_EPS = (0.0, 1e-8, 1e-6, 1e-4, 1 / 255)


def real(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def chain(shape: tuple[int, ...], *ops: Op) -> LayerGraph:
    nodes = [Node("x", None, (), shape)]
    for place, op in enumerate(ops):
        shape = op.shape(shape)
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes))


def line(weight: object, bias: object) -> Linear:
    return Linear(real(weight), real(bias))


def inside(bounds: Bounds, pair: Pair, points: Tensor) -> bool:
    """No point (samples, rows, *shape) shows a value outside; NaN does."""
    shape = (*points.shape[:2], *pair.original.output.shape)
    boxes = [enclosed(graph, points.flatten(0, 1)) for graph in (pair.original, pair.compressed)]
    f, g = (Interval(b.lower.view(shape), b.upper.view(shape)) for b in boxes)
    claims = ((bounds.original, f), (bounds.compressed, g), (bounds.drift, g.minus(f)))
    return all(
        bool(((box.lower <= seen.upper) & (seen.lower <= box.upper)).all()) for box, seen in claims
    )


def enclosed(graph: LayerGraph, points: Tensor) -> Interval:
    """Values at points up to the rounding of float64, which exceeds a tight bound at a point."""
    if isinstance(graph.output.op, Softmax):
        body = replace(graph, nodes=graph.nodes[:-1])
        return graph.output.op.image(propagated(body, Interval.point(points)))
    return propagated(graph, Interval.point(points))


def members(region: Region, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows, hull = torch.arange(region.batch), region.hull
    found = [region.project(hull.centre, rows)]
    for _ in range(count):
        side = torch.rand(hull.lower.shape, generator=generator) < 0.5
        found.append(region.project(torch.where(side, hull.lower, hull.upper), rows))
        found.append(region.sample(rows, generator))
    return torch.stack(found)


# --- made networks ------------------------------------------------------------------------


def convolutional(seed: int) -> LayerGraph:
    """Non-square kernels, uneven pads, strides, groups, a residual sum, a linear head."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64) / 3

    stem = Conv(normal(4, 2, 3, 1), normal(4), (2, 9, 6), (2, 1), (1, 1), (2, 0, 0, 0))
    middle = stem.shape((2, 9, 6))
    deep = Conv(normal(4, 1, 3, 3), normal(4), middle, pads=(1, 1, 1, 1), groups=4)
    flat = math.prod(middle)
    nodes = (
        Node("x", None, (), (2, 9, 6)),
        Node("stem", stem, ("x",), middle),
        Node("relu", Relu(), ("stem",), middle),
        Node("deep", deep, ("relu",), middle),
        Node("bent", LeakyRelu(real(0.2)), ("deep",), middle),
        Node("sum", Add((1, 1)), ("relu", "bent"), middle),
        Node("again", Relu(), ("sum",), middle),
        Node("flat", Reshape(middle, (flat,)), ("again",), (flat,)),
        Node("y", Linear(normal(3, flat), normal(3)), ("flat",), (3,)),
    )
    return LayerGraph(nodes)


def dense(seed: int) -> LayerGraph:
    generator = torch.Generator().manual_seed(seed)
    sizes = (5, 16, 16, 4)
    ops: list[Op] = []
    for wide, narrow in itertools.pairwise(sizes):
        weight = torch.randn(narrow, wide, generator=generator, dtype=torch.float64)
        ops += [Linear(weight / 2, weight[:, 0] / 3), Relu()]
    return chain((5,), *ops[:-1])


def probabilities(seed: int) -> LayerGraph:
    graph = dense(seed)
    softmax = Node("p", Softmax(), (graph.output.name,), graph.output.shape)
    return LayerGraph((*graph.nodes, softmax))


def coarse(graph: LayerGraph, steps: int) -> LayerGraph:
    """Every weight rounded to multiples of the largest / steps."""
    nodes = []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Linear | Conv):
            step = op.weight.abs().amax() / steps
            op = replace(op, weight=(op.weight / step).round() * step)
        nodes.append(Node(node.name, op, node.inputs, node.shape))
    return LayerGraph(tuple(nodes))


MADE: dict[str, Callable[[int], LayerGraph]] = {
    "dense": dense,
    "convolutional": convolutional,
    "softmax": probabilities,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_made_networks(
    make: Callable[[int], LayerGraph], dtype: torch.dtype, method: Method
) -> None:
    f = make(3)
    pair = Pair.of(f, coarse(f, 100))
    assert pair.aligned
    generator = torch.Generator().manual_seed(1)
    centre = torch.randn(3, *f.input.shape, generator=generator, dtype=torch.float64)
    before: Bounds | None = None
    for eps in (0.0, 1e-6, 0.01, 0.3):
        for region in (Box.around(centre, eps), Ball.around(centre, eps)):
            bounds = method.certify(pair, region, Placement(dtype=dtype))
            points = members(region, 12)
            assert inside(bounds, pair, points)
            labels = torch.stack([graph(points.flatten(0, 1)).argmax(1).view(-1, 3)
                                  for graph in (pair.original, pair.compressed)])  # fmt: skip
            kept = (labels == labels[0, 0]).all(0).all(0)
            assert bool(kept[bounds.agree].all())
            if before is not None and isinstance(region, Box):
                width = bounds.drift.upper - bounds.drift.lower
                assert bool((width >= (before.drift.upper - before.drift.lower) * 0.999).all())
            before = bounds if isinstance(region, Box) else before


@pytest.mark.parametrize("method", METHODS)
def test_a_network_beside_itself_has_no_drift(method: Method) -> None:
    if "interval" in type(method).__name__.lower():
        return
    f = convolutional(4)
    centre = torch.zeros(1, *f.input.shape, dtype=torch.float64)
    twin = method.certify(Pair.of(f, f), Box.around(centre, 0.0), Placement())
    assert float(twin.drift.magnitude().max()) <= 1e-12


def test_small_and_large_chunks_agree() -> None:
    """Memory sizes the chunks; it moves bounds by rounding only."""
    f = convolutional(5)
    pair = Pair.of(f, coarse(f, 60))
    region = Box.around(torch.ones(2, *f.input.shape, dtype=torch.float64) / 3, 0.1)
    for method in (kind() for kind in scan().values()):
        large = method.certify(pair, region, Placement(memory=2**30))
        small = method.certify(pair, region, Placement(memory=1))
        torch.testing.assert_close(small.drift.lower, large.drift.lower, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(small.drift.upper, large.drift.upper, rtol=1e-9, atol=1e-12)
        assert inside(small, pair, members(region, 5))


# --- holes that were found ----------------------------------------------------------------

Hole = tuple[LayerGraph, LayerGraph, Region, Tensor]
STEPS = Quantize(real(0.0999755859375), real(-128.0), real(127.0))


def fan(weights: list[float]) -> LayerGraph:
    """The sum of as many branches: coefficients on x cancel where they meet."""
    ends = tuple(f"b{place}" for place in range(len(weights)))
    branches = (
        Node(n, line([[w]], [0.0]), ("x",), (1,)) for n, w in zip(ends, weights, strict=True)
    )
    total = Node("y", Add((1,) * len(weights)), ends, (1,))
    return LayerGraph((Node("x", None, (), (1,)), *branches, total))


def hole(f: LayerGraph, g: LayerGraph, at: object, eps: float = 0.0) -> Hole:
    point = real([at])
    return f, g, Box.around(point, eps), point


def linear_pair(first: float, second: float) -> tuple[LayerGraph, LayerGraph]:
    return chain((1,), line([[first]], [0.0])), chain((1,), line([[second]], [0.0]))


HOLES: dict[str, Hole] = {
    "a weight that underflows in float32": hole(*linear_pair(0.0, 1e-46), [1e30]),
    "weights of 2^24 beside 1": hole(
        chain((2,), line([[2.0**24, 1.0], [1.0, 2.0**-24]], [0.0, 0.0]), Relu()),
        chain((2,), line([[2.0**24, 1.0 + 2**-20], [1.0, 2.0**-24]], [0.0, 0.0]), Relu()),
        [1.0, 1 / 3],
    ),
    "weights of 1e30 beside 1e-30": hole(
        chain((2,), line([[1e30, 1.0], [1.0, 1e-30]], [0.0, 1e-30]), Relu()),
        chain((2,), line([[1.1e30, 1.0], [1.0, 3e-30]], [0.0, 0.0]), Relu()),
        [1e-30, 0.1],
    ),
    "slopes that are equal in float32": hole(
        chain((1,), LeakyRelu(real(0.1))), chain((1,), LeakyRelu(real(0.1 + 1e-10))), [-1.0]
    ),
    "one quantiser on two codes": hole(
        chain((1,), line([[1.0]], [0.0]), STEPS), chain((1,), line([[1.1]], [0.0]), STEPS), [1.0]
    ),
    "probabilities of one and of zero": hole(
        chain((2,), line([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), Softmax()),
        chain((2,), line([[-1.0, 0.0], [0.0, -1.0]], [0.0, 0.0]), Softmax()),
        [90.0, -90.0],
    ),
    "coefficients that cancel where branches meet": hole(
        fan([0.0] * 22), fan([-1.0, *[2.0**-53] * 20, 1.0]), [2.0**60]
    ),
    "a long chain": hole(
        chain((1,), *[line([[1.0]], [0.0])] * 41),
        chain((1,), *[line([[1.0]], [2.0**-54])] * 40, line([[1.0]], [1 / 3])),
        [0.0],
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOLES)
def test_old_holes_stay_closed(name: str, dtype: torch.dtype, method: Method) -> None:
    f, g, region, point = HOLES[name]
    pair = Pair.of(f, g)
    assert inside(method.certify(pair, region, Placement(dtype=dtype)), pair, point[None])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1e-25, 1e-200, 1e25])
def test_balls_whose_squares_leave_the_range(
    size: float, dtype: torch.dtype, method: Method
) -> None:
    f, g = (chain((2,), line([[k * size, 0.0]], [0.0])) for k in (1, 3))
    region = Ball.around(real([[0.0, 0.0]]), 1.0)
    pair = Pair.of(f, g)
    bounds = method.certify(pair, region, Placement(dtype=dtype))
    assert inside(bounds, pair, real([[[1.0, 0.0]], [[-1.0, 0.0]]]))


@pytest.mark.parametrize("method", METHODS)
def test_overflow_is_no_bound(method: Method) -> None:
    f, g = (chain((1,), line([[k * 1e30]], [0.0]), Relu(), line([[1e30]], [0.0])) for k in (1, 2))
    region = Box.around(real([[1e-10]]), 1e-9)
    bounds = method.certify(Pair.of(f, g), region, Placement(dtype=torch.float32))
    for box in (bounds.drift, bounds.original, bounds.compressed):
        assert box.lower.item() == -math.inf
        assert box.upper.item() == math.inf
    assert not bool(bounds.agree.any())
    huge = Pair.of(*linear_pair(0.0, 1e40))
    with pytest.raises(LipcertError, match="float64"):
        method.certify(huge, region, Placement(dtype=torch.float32))


@pytest.mark.parametrize("method", METHODS)
def test_autocast_and_flushing_do_not_reach_a_proof(method: Method) -> None:
    f = chain((3,), line([[1.01, 2.03, 0.7]], [0.0]))
    g = chain((3,), line([[1.02, 2.01, 0.71]], [0.0]))
    pair, point = Pair.of(f, g), real([[1.234, 2.345, 3.456]])
    placement = Placement(dtype=torch.float32)
    region = Box.around(point, 0.0)
    plain = method.certify(pair, region, placement)
    torch.set_flush_denormal(True)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            bounds = method.certify(pair, region, placement)
        assert bool(torch.tensor(1e-310, dtype=torch.float64) * 1 == 0), "put back as it was"
    finally:
        torch.set_flush_denormal(False)
    assert torch.equal(bounds.drift.lower, plain.drift.lower)
    assert inside(bounds, pair, point[None])


# --- real networks ------------------------------------------------------------------------


def mnist(data: Path) -> tuple[LayerGraph, LayerGraph, Tensor]:
    raw = gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)[:2]
    f, g = (read_onnx(data / f"mnist/mnist_relu_3_100{end}.onnx") for end in ("", "_16bit"))
    return f, g, torch.from_numpy(pixels.astype(np.float64))


def sww(data: Path, twin: str) -> tuple[LayerGraph, LayerGraph, Tensor]:
    stored = np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"][:1]
    names = ("float", twin)
    f, g = (read_onnx(data / f"mlperf_tiny/sww_dscnn1d_{name}.onnx") for name in names)
    return f, g, torch.from_numpy(stored.transpose(0, 3, 1, 2).astype(np.float64))


def acas(data: Path) -> tuple[LayerGraph, LayerGraph, Tensor]:
    stem = data / "acasxu/ACASXU_run2a_1_1_batch_2000"
    f, g = (read_onnx(f"{stem}{end}.onnx") for end in ("", "_16bit"))
    centre = torch.tensor([[0.6, -0.1, 0.05, 0.45, -0.45], [0.0, 0.2, -0.3, 0.1, 0.4]])
    return f, g, centre.double().view(2, *f.input.shape)


def har(data: Path) -> tuple[LayerGraph, LayerGraph, Tensor]:
    f = read_onnx(data / "har/HAR_561x500x6.onnx")
    stored = np.load(data / "har/har100.npz")["x"][:2]
    return f, coarse(f, 127), torch.from_numpy(stored.astype(np.float64)).view(2, *f.input.shape)


REAL: dict[str, Callable[[Path], tuple[LayerGraph, LayerGraph, Tensor]]] = {
    "mnist": mnist,
    "sww int8 weights": lambda data: sww(data, "int8_weights_only"),
    "sww int8 qdq": lambda data: sww(data, "int8_qdq"),
    "acas": acas,
    "har": har,
}


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_networks(data: Path, name: str) -> None:
    """At no radius does a sample lie outside, in either dtype; CROWN is never the tighter."""
    f, g, centre = REAL[name](data)
    pair = Pair.of(f, g)
    assert pair.aligned
    for eps in EVERY_EPS if not name.startswith("sww") else (0.0, 1e-8, 1e-5):
        region = Box.around(centre, eps)
        points = members(region, 6)
        for dtype in (torch.float64, torch.float32):
            made = {n: m().certify(pair, region, Placement(dtype=dtype)) for n, m in scan().items()}
            for bounds in made.values():
                assert inside(bounds, pair, points), (eps, dtype)
            loose = 1e-5 if isinstance(f.output.op, Softmax) else 0.0
            twin, crown = made["twin"].drift, made["crown"].drift
            assert bool((twin.lower >= crown.lower - loose).all())
            assert bool((twin.upper <= crown.upper + loose).all())
            if eps > 0:
                drift = pair.compressed(points.flatten(0, 1)) - pair.original(points.flatten(0, 1))
                drift = drift.view(len(points), *twin.lower.shape)  # evaluated in float64 alone
                assert bool(((twin.lower <= drift) & (drift <= twin.upper)).all())
