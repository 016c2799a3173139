"""The telescoping bound: no sample drifts further, whatever the pair, the region or the dtype."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bounds_contain import (
    EPS,
    KINDS,
    ROWS,
    Plan,
    compressed,
    holds,
    network,
    plans,
    region_of,
    samples,
    seen,
)
from torch import Tensor

from lipcert import Ball, Box, Pair, Placement
from lipcert.attacks.drift import DriftAttack
from lipcert.gain.affine import rows_upper
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.semantics import Semantics
from lipcert.methods.sdp import DriftSdp
from lipcert.methods.telescoping import Telescoped, telescoped
from lipcert.methods.twin import TwinEnclosed, followed
from lipcert.numeric.norm import length_upper
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.sets.enclosure import Interval, Twin
from lipcert.sets.region import Region
from lipcert.walk.progress import quiet

WITHOUT_SEARCH = DriftSdp(limit_seconds=0.0)


def blind(over: TwinEnclosed) -> TwinEnclosed:
    """Without what twin bounds know of the drift: the norms are on their own."""
    twins = {}
    for name, twin in over.twins.items():
        unknown = torch.full_like(twin.drift.lower, torch.inf)
        twins[name] = Twin(twin.original, twin.compressed, Interval(-unknown, unknown))
    return replace(over, twins=twins)


def bounds_of(
    pair: Pair, region: Region, *, alone: bool, dtype: torch.dtype = torch.float64
) -> Telescoped:
    body = pair.body()
    walked = followed(body, region, Placement(dtype=dtype), quiet)[1]
    assert walked is not None
    f, g, over = walked
    return telescoped(body, region, (f, g, blind(over) if alone else over), quiet)


def shortest(drift: Interval) -> Tensor:
    """Lower bounds of the l2 norm of members, (..., outputs) to (...)."""
    least = torch.maximum(drift.lower, -drift.upper).clamp(min=0)
    return torch.linalg.vector_norm(least, dim=-1) * (1 - 1e-12)


@settings(max_examples=40)
@given(plans(), EPS, KINDS, st.sampled_from([torch.float64, torch.float32]), st.booleans())
def test_no_sample_drifts_further(
    plan: Plan, eps: float, kind: str, dtype: torch.dtype, alone: bool
) -> None:
    plan = replace(plan, ending="")
    f = network(plan)
    pair, region = Pair.of(f, compressed(f, plan)), region_of(plan, eps, kind)
    drift = seen(f, pair.compressed, samples(region, plan.seed))[2]
    found = bounds_of(pair, region, alone=alone, dtype=dtype)
    assert holds(found.drift, drift)
    assert bool((shortest(drift) <= found.norm).all())
    if eps == 0 or not alone:
        assert bool(found.norm.isfinite().all())


@settings(max_examples=10)
@given(plans(), EPS.filter(bool), st.sampled_from([torch.float64, torch.float32]))
def test_attacks_stay_inside_the_smallest_bound(plan: Plan, eps: float, dtype: torch.dtype) -> None:
    """Of all relaxations, without the search: the norm, and every output."""
    f = network(plan)
    pair, region = Pair.of(f, compressed(f, plan)), region_of(plan, eps, "box")
    found = WITHOUT_SEARCH.certify(pair, region, Placement(dtype=dtype))
    seen_drift = DriftAttack(steps=10, restarts=2).observe(pair, region, Placement()).drift
    assert bool((found.drift.lower.double() <= seen_drift.upper).all())
    assert bool((found.drift.upper.double() >= seen_drift.lower).all())
    if found.norm is not None:
        assert found.origin is not None
        assert "telescoping" in found.origin.names


def line(weight: list[list[float]]) -> Linear:
    matrix = torch.tensor(weight, dtype=torch.float64)
    return Linear(matrix, torch.zeros(len(matrix), dtype=torch.float64))


def chain(*ops: Linear | Relu | Quantize) -> LayerGraph:
    assert isinstance(ops[0], Linear)
    nodes = [Node("x", None, (), (ops[0].weight.shape[1],))]
    for place, op in enumerate(ops):
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), op.shape(nodes[-1].shape)))
    return LayerGraph(tuple(nodes))


def test_layers_are_compared_at_values_of_f() -> None:
    """g's own are zero, where both layers agree: what f sends on is not."""
    one, none = line([[1.0]]), line([[0.0]])
    pair = Pair.of(chain(one, Relu(), one), chain(none, Relu(), none))
    region = Ball.around(torch.full((1, 1), 2.0), 1.0)
    for alone in (False, True):
        found = bounds_of(pair, region, alone=alone)
        assert float(found.drift.lower) <= -3.0
        assert float(found.norm) >= 3.0
        assert float(found.norm) <= 3.0 + 1e-9


def test_activations_at_their_knots_have_a_slope() -> None:
    """Over a point there are no difference quotients: a length times none of them is no length."""
    nodes = [
        Node("x", None, (), (1, 2)),
        Node("flat", Reshape((1, 2), (2,)), ("x",), (2,)),
        Node("relu", Relu(), ("flat",), (2,)),
    ]
    f, g = (
        LayerGraph((*nodes, Node("y", line([[weight, 2.0]]), ("relu",), (1,))))
        for weight in (1.0, 1.5)
    )
    region = Box.around(torch.zeros(1, 1, 2), 0.0)
    for alone in (False, True):
        found = bounds_of(Pair.of(f, g), region, alone=alone)
        assert float(found.drift.lower) <= 0.0 <= float(found.drift.upper) <= 1e-300
        assert 0.0 <= float(found.norm) <= 1e-300


def test_codes_are_half_a_step_away() -> None:
    codes = Quantize(*(torch.tensor(v).double() for v in (0.25, -100.0, 100.0)))
    weight = line([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]])
    pair = Pair.of(chain(weight), chain(weight, codes))
    region = Box.around(torch.zeros(1, 2), 1.0)
    found = bounds_of(pair, region, alone=True)
    assert math.isclose(float(found.norm), 0.125 * math.sqrt(3), rel_tol=1e-9)


def test_norms_of_rows_bound_entries() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 1.0]], dtype=torch.float64)
    before, after = chain(line([[1.0, 0.0], [0.0, 1.0]])), chain(line([[1.5, 0.0], [0.0, 1.5]]))
    last = Linear(weight, torch.zeros(2, dtype=torch.float64))
    f, g = (
        LayerGraph((*net.nodes, Node("y", last, (net.output.name,), (2,))))
        for net in (before, after)
    )
    found = bounds_of(Pair.of(f, g), Ball.around(torch.zeros(1, 2), 2.0), alone=True)
    assert torch.allclose(found.drift.upper, torch.tensor([[5.0, 1.0]], dtype=torch.float64))
    rows = rows_upper(last, (2,))
    assert rows is not None
    assert bool((rows >= torch.tensor([5.0, 1.0])).all())


@pytest.mark.parametrize("semantics", [Semantics.REAL, Semantics.FLOAT32])
def test_executing_is_part_of_the_bound(semantics: Semantics) -> None:
    """Equal networks drift apart by no more than float32's rounding, and by no less."""
    generator = torch.Generator().manual_seed(3)
    sizes = [(20, 8), (20, 20), (3, 20)]
    ops: list[Linear | Relu] = []
    for shape in sizes:
        weight = torch.randn(shape, generator=generator).double()
        ops += [Linear(weight, torch.zeros(shape[0], dtype=torch.float64)), Relu()]
    graph = chain(*ops[:-1])
    pair = Pair.of(graph, graph, semantics=semantics)
    region = Box.around(torch.randn(ROWS, 8, generator=generator), 0.1)
    found = bounds_of(pair, region, alone=True)
    points = region.sample(torch.zeros(200, dtype=torch.long), generator).float()
    apart = graph.placed(Placement(dtype=torch.float32))(points).double() - graph(points.double())
    assert (float(apart.norm(dim=1).max()) <= float(found.norm[0])) == (semantics != Semantics.REAL)
    assert float(found.norm.max()) < (1e-1 if semantics != Semantics.REAL else 1e-9)


def test_wide_regions_are_where_it_wins() -> None:
    """Lines around activations open from layer to layer; norms do not see the region at all."""
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(30, 30, generator=generator).double() / 6 for _ in range(6)]

    def made(change: float) -> LayerGraph:
        ops: list[Linear | Relu] = []
        for weight in weights:
            noise = torch.randn(30, 30, generator=torch.Generator().manual_seed(len(ops))).double()
            bias = torch.zeros(30, dtype=torch.float64)
            ops += [Linear(weight * (1 + change * noise), bias), Relu()]
        return chain(*ops[:-1])

    pair = Pair.of(made(0.0), made(1e-3))
    region = Ball.around(torch.zeros(1, 30), 2.0)
    found = WITHOUT_SEARCH.certify(pair, region, Placement())
    assert found.origin is not None
    names = {found.origin.names[int(k)] for k in found.origin.upper.flatten()}
    assert "telescoping" in names
    assert found.norm is not None
    twin = followed(pair, region, Placement(), quiet)[0].drift
    assert float(found.norm) < 0.9 * float(length_upper(twin.magnitude().flatten()))
