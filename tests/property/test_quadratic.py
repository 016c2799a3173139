"""Bounds with quadratic terms: any multipliers are a proof, and found ones are worth their time."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.fixed_point import float_network, only, quantised_network, read
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.methods.dense_chain import Chain, chain_of
from lipcert.methods.enclosed import enclose
from lipcert.methods.quadratic import QuadraticBounds
from lipcert.methods.quadratic_form import Multipliers
from lipcert.methods.quadratic_neuron import Terms, candidates, lines_of
from lipcert.methods.quadratic_proof import proved
from lipcert.methods.quadratic_search import searched
from lipcert.methods.twin import TwinBounds, enclose_pair
from lipcert.numeric.placement import Placement
from lipcert.ops.clip import Clip
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.sets.region import Box, Grid, Region

BATCH, INPUTS = 2, 40


def made(seed: int, hidden: tuple[int, ...], step: float, act: Op, lowest: float = 0.0) -> Pair:
    """Random weights, rounded in g, which quantises every layer, one step per channel."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    f: list[Op] = []
    g: list[Op] = []
    sizes = (INPUTS, *hidden, 3)
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        w, b = normal(narrow, wide) / wide**0.5, normal(narrow) / 4
        f += [Linear(w, b), act]
        unit = (step * (1 + torch.rand(narrow, generator=generator))).double()
        end = torch.full((narrow,), 12.0, dtype=torch.float64)
        quantiser = Quantize(unit, lowest * end, end)
        g += [Linear((w / 2**-5).round() * 2**-5, b.float().double()), quantiser]
        if place == len(sizes) - 2:
            f, g = f[:-1], g[:-1]
    return Pair.of(chain(f), chain(g))


def chain(ops: list[Op]) -> LayerGraph:
    nodes = [Node("x", None, (), (INPUTS,))]
    for place, op in enumerate(ops):
        shape = op.shape(nodes[-1].shape)
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes))


def around(eps: float, seed: int = 0) -> Box:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(BATCH, INPUTS, generator=generator, dtype=torch.float64)
    return Box.around(centre, eps)


def drifts(pair: Pair, region: Region, count: int = 150) -> Tensor:
    """At corners, at the middle and in between, (points, batch, outputs)."""
    generator = torch.Generator().manual_seed(3)
    rows, hull = torch.arange(region.batch), region.hull
    points = [region.project(hull.centre, rows)]
    for _ in range(count):
        side = torch.rand(hull.lower.shape, generator=generator) < 0.5
        points.append(region.project(torch.where(side, hull.lower, hull.upper), rows))
        points.append(region.sample(rows, generator))
    return torch.stack([pair.compressed(x) - pair.original(x) for x in points])


def chained(pair: Pair, region: Region) -> Chain:
    sides = [enclose(graph, region, Placement()) for graph in (pair.original, pair.compressed)]
    found = chain_of(pair, *sides, enclose_pair(pair, *sides).twins)
    assert found is not None
    return found


CASES = [
    ((8,), 0.3, Relu(), 0.0),
    ((20,), 0.02, Relu(), 0.0),
    ((16, 12), 0.3, Relu(), 0.0),
    ((12, 12, 10), 0.1, Relu(), 0.0),
    ((12, 9), 0.25, Clip(0.0, 50.0), 0.0),
]
OTHER = ((12, 9), 0.25, LeakyRelu(torch.tensor(0.1).double()), -1.0)


@pytest.mark.parametrize(("hidden", "step", "act", "lowest"), [*CASES, OTHER])
def test_no_drift_lies_outside(
    hidden: tuple[int, ...], step: float, act: Op, lowest: float
) -> None:
    pair = made(1, hidden, step, act, lowest)
    for eps in (0.0, 1e-6, 0.03, 0.5):
        region = around(eps)
        bounds = QuadraticBounds(10).certify(pair, region, Placement()).drift
        twin = TwinBounds().certify(pair, region, Placement()).drift
        seen = drifts(pair, region)
        assert bool(((bounds.lower <= seen) & (seen <= bounds.upper)).all())
        assert bool(((bounds.lower >= twin.lower) & (bounds.upper <= twin.upper)).all())
        if eps == 0:
            assert float((bounds.upper - bounds.lower).max()) < 1e-9


@pytest.mark.parametrize(("hidden", "step", "act", "lowest"), CASES)
def test_any_multipliers_prove(
    hidden: tuple[int, ...], step: float, act: Op, lowest: float
) -> None:
    pair = made(2, hidden, step, act, lowest)
    generator = torch.Generator().manual_seed(5)
    for eps in (0.0, 0.1):
        region = around(eps)
        found, seen = chained(pair, region), drifts(pair, region)
        rows = torch.eye(3, dtype=torch.float64)
        after = torch.cat([rows, -rows])[:, None].expand(-1, BATCH, -1)
        good = searched(found, after, -after, 5)
        for wild in (0.0, 0.1, 3.0):
            some = [shaken(own, wild, generator) for own in good]
            least = proved(found, after, -after, some)  # (6, batch)
            lowest_seen = torch.cat([seen.amin(0).T, (-seen).amin(0).T])
            assert bool((least <= lowest_seen).all())
            assert bool(least.isfinite().all())


def test_shares_below_zero_prove_nothing() -> None:
    """What is left of the quadratic is then least nowhere inside."""
    pair, region = made(2, (16, 12), 0.3, Relu()), around(0.1)
    found, seen = chained(pair, region), drifts(pair, region)
    rows = torch.eye(3, dtype=torch.float64)
    after = torch.cat([rows, -rows])[:, None].expand(-1, BATCH, -1)
    turned = [replace(own, share=-100 * own.share) for own in searched(found, after, -after, 5)]
    least = proved(found, after, -after, turned)
    assert bool((least <= torch.cat([seen.amin(0).T, (-seen).amin(0).T])).all())


def shaken(own: Multipliers, wild: float, generator: torch.Generator) -> Multipliers:
    def moved(part: Tensor) -> Tensor:
        noise = torch.randn(part.shape, generator=generator, dtype=torch.float64)
        return part + wild * noise * (part.abs().mean() + 1e-3)

    pull = None if own.pull is None else moved(own.pull)
    slopes = moved(own.along_original), moved(own.along_compressed)
    return replace(
        Multipliers(*slopes, moved(own.root), own.share, pull),
        share=moved(own.share).abs() + 1e-9,
    )


@pytest.mark.parametrize("scale", [0.0, 0.3, 3.0])
def test_least_values_are_those_of_many_points(scale: float) -> None:
    """No point of the enclosures has a lower value than the best candidate."""
    pair, region = made(4, (30,), 0.2, Relu()), around(0.2)
    layer = chained(pair, region).hidden[0]
    generator = torch.Generator().manual_seed(9)
    parts = torch.randn(6, 7, BATCH, 30, generator=generator, dtype=torch.float64)
    p, r, a, b, curve, share = parts
    terms = Terms(p, r, a, b, scale * curve.square(), scale * share.square() / 2)
    least = candidates(layer, lines_of(layer), terms).of(terms, 1).amin(-1)
    z, y, drift = layer.twin.original, layer.twin.compressed, layer.twin.drift
    for _ in range(2000):
        share_z, share_y = torch.rand(2, BATCH, 30, generator=generator, dtype=torch.float64)
        at = z.lower + share_z * (z.upper - z.lower)
        low, high = (
            torch.maximum(y.lower, at + drift.lower),
            torch.minimum(y.upper, at + drift.upper),
        )
        inside = low <= high
        to = low + share_y * (high - low)
        code = layer.quantiser.value(to)
        value = p * code + r * torch.relu(at) - a * at - b * to
        value = value + terms.curve * (to - layer.middle).square()
        value = value - terms.share * (code - layer.codes).square()
        assert bool((value >= least - 1e-12 * (1 + value.abs()))[:, inside].all())


def test_other_pairs_get_twin_bounds() -> None:
    pair, region = made(1, (8,), 0.3, Relu()), around(0.1)
    plain = Pair.of(pair.original, pair.original)
    for both, placement in ((plain, Placement()), (pair, Placement(dtype=torch.float32))):
        own = QuadraticBounds().certify(both, region, placement).drift
        twin = TwinBounds().certify(both, region, placement).drift
        assert torch.equal(own.lower, twin.lower)
        assert torch.equal(own.upper, twin.upper)


def test_rounding_noise_does_not_add_up() -> None:
    """Sums of many roundings are bounded together: a quarter less on coarse steps."""
    pair, region = made(6, (40, 40), 0.4, Relu()), around(0.2)
    width = [
        float((b.drift.upper - b.drift.lower).mean())
        for b in (m.certify(pair, region, Placement()) for m in (QuadraticBounds(), TwinBounds()))
    ]
    assert width[0] < 0.75 * width[1]


@pytest.mark.data
def test_fixed_point_mnist(data: Path) -> None:
    arrays = read(data / "qebverif/2blk_100_100.npz")
    pixels = np.load(data / "qebverif/inputs10.npz")["x"][:1].astype(np.float64)
    label = int(float_network(arrays, "f")(torch.from_numpy(pixels)).argmax())
    one = only(arrays, label)
    pair = Pair.of(float_network(one, "f"), quantised_network(one, 4, "g"))
    region = Grid.around(pixels, 3, (0.0, 255.0))
    bounds = QuadraticBounds(40).certify(pair, region, Placement()).drift
    twin = TwinBounds().certify(pair, region, Placement()).drift
    assert bool((bounds.upper - bounds.lower < 0.8 * (twin.upper - twin.lower)).all())
    seen = drifts(pair, region, 100)
    assert bool(((bounds.lower <= seen) & (seen <= bounds.upper)).all())
