"""Alignment: every pair node's value is what its operations make of the pair nodes it reads."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lipcert.errors import Mismatch
from lipcert.graph.absorb import absorbed
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.methods.crown import Crown
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.ops.add import Add
from lipcert.ops.clip import Clip
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Op
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.softmax import Softmax
from lipcert.sets.region import Box

GENERATOR = torch.Generator().manual_seed(7)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def linear(wide: int, narrow: int) -> Linear:
    return Linear(normal(narrow, wide), normal(narrow))


def steps(lowest: float) -> Quantize:
    scale, low, high = (torch.tensor(v).double() for v in (0.125, lowest, 100.0))
    return Quantize(scale, low, high)


def chain(shape: tuple[int, ...], *ops: Op, prefix: str = "n") -> LayerGraph:
    nodes = [Node("x", None, (), shape)]
    for place, op in enumerate(ops):
        shape = op.shape(shape)
        nodes.append(Node(f"{prefix}{place}", op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes))


def branched(prefix: str, weights: list[Linear], *, swapped: bool = False) -> LayerGraph:
    first, second, last = weights
    ends = (f"{prefix}b", f"{prefix}a") if swapped else (f"{prefix}a", f"{prefix}b")
    return LayerGraph(
        (
            Node("x", None, (), (3,)),
            Node(f"{prefix}a", first, ("x",), (4,)),
            Node(f"{prefix}b", second, ("x",), (4,)),
            Node(f"{prefix}sum", Add((1, 1)), ends, (4,)),
            Node(f"{prefix}relu", Relu(), (f"{prefix}sum",), (4,)),
            Node(f"{prefix}y", last, (f"{prefix}relu",), (2,)),
        )
    )


def pairs() -> dict[str, tuple[LayerGraph, LayerGraph]]:
    first, last = linear(3, 6), linear(6, 2)
    weights = [linear(3, 4), linear(3, 4), linear(4, 2)]
    kept = torch.tensor([1, 2, 5])
    pruned = (
        Linear(first.weight[kept], first.bias[kept]),
        Linear(last.weight[:, kept], last.bias),
    )
    conv = Conv(normal(4, 2, 3, 1), normal(4), (2, 5, 3))
    head = linear(4 * 3 * 3, 2)
    thin = Conv(conv.weight[[0, 3]], conv.bias[[0, 3]], (2, 5, 3))
    columns = torch.arange(36).view(4, 9)[[0, 3]].flatten()
    narrow = Linear(head.weight[:, columns], head.bias)
    batch_norm = Scale(normal(6), normal(6))
    return {
        "other weights": (
            chain((3,), first, Relu(), last),
            chain((3,), linear(3, 6), Relu(), linear(6, 2), prefix="g"),
        ),
        "quantisers in g": (
            chain((3,), first, Relu(), last),
            chain((3,), steps(-90), first, Relu(), steps(0), last, steps(-90), prefix="g"),
        ),
        "a quantiser that is the relu": (
            chain((3,), first, Relu(), last),
            chain((3,), first, steps(0), last),
        ),
        "pruned neurons": (
            chain((3,), first, Relu(), last),
            chain((3,), pruned[0], Relu(), pruned[1]),
        ),
        "pruned neurons that rest at a half": (
            chain((3,), first, Sigmoid(), last),
            chain((3,), pruned[0], Sigmoid(), pruned[1]),
        ),
        "pruned channels": (
            chain((2, 5, 3), conv, Relu(), Reshape((4, 3, 3), (36,)), head),
            chain((2, 5, 3), thin, Relu(), Reshape((2, 3, 3), (18,)), narrow),
        ),
        "branches the other way round": (
            branched("f", weights),
            branched("g", [weights[1], weights[0], weights[2]], swapped=True),
        ),
        "a scale in f alone": (
            chain((3,), first, Relu(), batch_norm, Relu(), last),
            chain((3,), first, Relu(), Relu(), last),
        ),
        "other activations": (
            chain((3,), first, Relu(), last),
            chain((3,), first, Sigmoid(), last),
        ),
        "names that look like pairs": (
            renamed(chain((3,), first, Relu(), last), n0="a", n1="a|b"),
            renamed(chain((3,), linear(3, 6), Relu(), last), n0="b|b", n1="b"),
        ),
    }


def renamed(graph: LayerGraph, **names: str) -> LayerGraph:
    return LayerGraph(
        tuple(
            Node(names.get(n.name, n.name), n.op, tuple(names.get(i, i) for i in n.inputs), n.shape)
            for n in graph.nodes
        )
    )


@pytest.mark.parametrize("name", pairs())
def test_pair_nodes_follow_both_networks(name: str) -> None:
    f, g = pairs()[name]
    pair = Pair.of(f, g)
    assert pair.aligned
    points = normal(20, *f.input.shape)
    torch.testing.assert_close(pair.original(points), f(points))
    torch.testing.assert_close(pair.compressed(points), g(points))
    torch.testing.assert_close(pair.joined()(points), g(points) - f(points))
    values = (pair.original.values(points), pair.compressed.values(points))
    known = {node.name: node for node in pair.nodes}
    assert len(known) == len(pair.nodes)
    assert pair.nodes[-1].original.name == pair.original.output.name
    assert pair.nodes[-1].compressed.name == pair.compressed.output.name
    for place, node in enumerate(pair.nodes[1:], 1):
        assert {n.name for n in pair.nodes[:place]} >= set(node.inputs)
        reads = [known[n] for n in node.inputs]
        for side, op in enumerate((node.original_op, node.compressed_op)):
            own = [(n.original, n.compressed)[side].name for n in reads]
            inputs = [values[side][n] for n in own]
            made = inputs[0] if op is None else op.value(*inputs)
            here = (node.original, node.compressed)[side].name
            assert torch.equal(made, values[side][here])


@pytest.mark.parametrize("name", pairs())
def test_bounds_of_every_alignment_hold(name: str) -> None:
    f, g = pairs()[name]
    centre = normal(2, *f.input.shape)
    for eps in (0.05, 0.5):
        region = Box.around(centre, eps)
        bounds = TwinBounds().certify(Pair.of(f, g), region, Placement())
        generator = torch.Generator().manual_seed(2)
        for _ in range(30):
            points = region.sample(torch.arange(2), generator)
            drift = g(points) - f(points)
            assert bool(((bounds.drift.lower <= drift) & (drift <= bounds.drift.upper)).all())


def test_networks_that_do_not_correspond_get_the_joint_graph() -> None:
    f = chain((3,), linear(3, 6), Relu(), linear(6, 2))
    g = chain((3,), linear(3, 5), Relu(), linear(5, 5), Relu(), linear(5, 2))
    pair = Pair.of(f, g)
    assert not pair.aligned
    region = Box.around(normal(1, 3), 0.1)
    twin, crown = (m.certify(pair, region, Placement()) for m in (TwinBounds(), Crown()))
    assert torch.equal(twin.drift.lower, crown.drift.lower)
    points = region.sample(torch.zeros(50, dtype=torch.long), torch.Generator().manual_seed(1))
    drift = g(points) - f(points)
    assert bool(((twin.drift.lower <= drift) & (drift <= twin.drift.upper)).all())


def test_other_shapes_are_an_error_that_says_which() -> None:
    f = chain((3,), linear(3, 4))
    with pytest.raises(Mismatch, match=r"input 'x'.*\(3,\).*\(5,\)"):
        Pair.of(f, chain((5,), linear(5, 4)))
    with pytest.raises(Mismatch, match=r"output 'n0'.*\(4,\).*\(2,\)"):
        Pair.of(f, chain((3,), linear(3, 2)))


def test_one_softmax_is_an_error() -> None:
    f, g = chain((3,), linear(3, 4)), chain((3,), linear(3, 4), Softmax())
    with pytest.raises(Mismatch, match="only one"):
        Pair.of(f, g).body()
    both = Pair.of(g, g).body()
    assert both.softmax
    assert both.aligned
    assert both.original.output.name == "n0"


def test_relus_and_clips_that_codes_saturate_at_are_absorbed() -> None:
    plain = (linear(3, 6), steps(0), linear(6, 2), steps(-5))
    idle = (linear(3, 6), Relu(), steps(0), linear(6, 2), Clip(-9.0, 9.0), Relu(), steps(-5))
    graph, points = chain((3,), *idle), normal(200, 3) * 3
    seen = absorbed(graph)
    assert torch.equal(seen(points), graph(points))
    assert [type(node.op) for node in seen.nodes[1:]] == [
        *(type(op) for op in plain[:3]), Clip, Relu, Quantize
    ]  # fmt: skip
    assert absorbed(seen).nodes == seen.nodes
    wide = chain((3,), linear(3, 6), Clip(-20.0, 20.0), steps(-5))
    assert [type(node.op) for node in absorbed(wide).nodes[1:]] == [Linear, Quantize]
    assert torch.equal(absorbed(wide)(points), wide(points))
    narrow = chain((3,), linear(3, 6), Clip(-0.1, 20.0), steps(-5))
    assert absorbed(narrow).nodes == narrow.nodes


def test_a_relu_stands_beside_codes_from_zero() -> None:
    f = chain((3,), linear(3, 6), Relu(), linear(6, 2))
    g = chain((3,), linear(3, 6), Relu(), steps(0), linear(6, 2))
    pair = Pair.of(f, g)
    (both,) = (node for node in pair.nodes if isinstance(node.compressed_op, Quantize))
    assert isinstance(both.original_op, Relu)
    other = Pair.of(f, chain((3,), linear(3, 6), Relu(), steps(-5), linear(6, 2)))
    assert any(isinstance(n.compressed_op, Quantize) and n.original_op is None for n in other.nodes)


def test_deep_networks_align() -> None:
    deep = chain((1,), *[op for _ in range(400) for op in (linear(1, 1), Relu())])
    nudged = LayerGraph(
        tuple(
            replace(n, op=replace(n.op, weight=n.op.weight + 1e-9))
            if isinstance(n.op, Linear)
            else n
            for n in deep.nodes
        )
    )
    assert Pair.of(deep, nudged).aligned
