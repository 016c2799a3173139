"""Difference quotients against exact rational arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz.computed import computed, upper_norm
from lipcert.lipschitz.quotient import quotients
from lipcert.methods.interval import propagated
from lipcert.numeric.norm import Norm
from lipcert.ops.add import Add
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.sets.enclosure import Interval

BITS = 120  # below the point: more than the numbers here have
SLOPE = 0.9  # of the leaky side, in float64: its products are rounded


def residual(depth: int, width: int, seed: int, skip: bool = True) -> LayerGraph:
    """Blocks x + leaky(W x + b), or without the x; W orthogonal."""
    generator = torch.Generator().manual_seed(seed)
    nodes = [Node("x", None, (), (width,))]
    for k in range(depth):
        weight = torch.randn(width, width, generator=generator, dtype=torch.float64)
        bias = torch.randn(width, generator=generator, dtype=torch.float64)
        layer = Linear(torch.linalg.qr(weight).Q, bias)
        slope = torch.tensor(SLOPE, dtype=torch.float64)
        before = nodes[-1].name
        nodes.append(Node(f"z{k}", layer, (before,), (width,)))
        nodes.append(Node(f"a{k}", LeakyRelu(slope), (f"z{k}",), (width,)))
        if skip:
            nodes.append(Node(f"s{k}", Add((1, 1)), (before, f"a{k}"), (width,)))
    return LayerGraph(tuple(nodes))


def whole(number: float) -> int:
    """Times 2^BITS, exactly."""
    found = Fraction(number) * 2**BITS
    assert found.denominator == 1
    return int(found)


def exact(graph: LayerGraph, point: Tensor) -> list[Fraction]:
    """In whole numbers with a common power of two."""
    value, power = [whole(x) for x in point.tolist()], BITS
    for node in graph.nodes[1:]:
        if isinstance(node.op, Linear):
            rows = [[whole(w) for w in row] for row in node.op.weight.tolist()]
            sums = [sum(w * v for w, v in zip(row, value, strict=True)) for row in rows]
            biased = zip(sums, node.op.bias.tolist(), strict=True)
            sums = [s + (whole(b) << power) for s, b in biased]
            bent = [s << BITS if s > 0 else whole(SLOPE) * s for s in sums]
            power += 2 * BITS
            skips = graph.nodes[3].name == "s0"
            lifted = [v << 2 * BITS if skips else 0 for v in value]
            value = [v + b for v, b in zip(lifted, bent, strict=True)]
    return [Fraction(v, 2**power) for v in value]


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_the_error_is_bounded(skip: bool, seed: int) -> None:
    graph = residual(6, 5, seed, skip)
    points = torch.randn(3, 5, generator=torch.Generator().manual_seed(seed)).double() * 10**seed
    found = computed(graph, points)
    for value, error, point in zip(found.value, found.error, points, strict=True):
        true = exact(graph, point)
        gaps = [abs(Fraction(v) - e) for v, e in zip(value.tolist(), true, strict=True)]
        assert 0 < sum(gap * gap for gap in gaps) <= Fraction(float(error)) ** 2


@pytest.mark.parametrize("norm", list(Norm))
def test_quotients_of_deep_networks_are_true_and_not_zero(norm: Norm) -> None:
    graph = residual(30, 40, 1, skip=False)
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(2, 40, generator=generator).double()
    second = first + 0.1 * torch.randn(2, 40, generator=generator).double()
    box = propagated(graph, Interval.point(first))
    assert bool((box.upper - box.lower > 100 * (graph(second) - graph(first)).abs()).all())
    found = quotients(graph, first, second, norm)
    plain = norm.of(graph(second) - graph(first)) / norm.of(second - first)
    assert bool((found > 0.5 * plain).all())
    for quotient, x, y in zip(found.tolist(), first, second, strict=True):
        change = [abs(b - a) for a, b in zip(exact(graph, x), exact(graph, y), strict=True)]
        gaps = [abs(Fraction(b) - Fraction(a)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        if norm is Norm.TWO:
            assert Fraction(quotient) ** 2 * sum(g * g for g in gaps) <= sum(c * c for c in change)
        else:
            size = sum if norm is Norm.ONE else max
            assert Fraction(quotient) * size(gaps) <= size(change)


def test_norms_whose_squares_underflow_stay_above() -> None:
    tiny = torch.full((1, 3), 1e-200, dtype=torch.float64)
    assert float(upper_norm(tiny, Norm.TWO)) >= 2e-200


def test_equal_points_have_no_quotient() -> None:
    graph = residual(30, 12, 1)
    same = torch.ones(1, 12, dtype=torch.float64)
    assert float(quotients(graph, same, same, Norm.TWO)) == 0
