"""Where a region's own grid is that of the input codes, their quantiser makes no error at all."""

import numpy as np
import pytest
import torch

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.on_grid import on_grid
from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.sets.region import Box, Grid

STEP = float(np.float32(0.0157))
CENTRES = STEP * np.random.default_rng(0).integers(-40, 40, (6, 5))


def pair(low: int = -128, semantics: Semantics = Semantics.REAL, scale: float = STEP) -> Pair:
    """Equal networks but for the quantiser of g's input."""
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(n, m, generator=generator).double() for n, m in ((8, 5), (3, 8)))
    codes = Quantize(*(torch.tensor([v]).double() for v in (scale, low, low + 255)))

    def network(*front: Quantize) -> LayerGraph:
        nodes = [Node("x", None, (), (5,))]
        ops = (*front, Linear(first, first[:, 0]), Relu(), Linear(second, second[:, 0]))
        for place, op in enumerate(ops):
            nodes.append(Node(f"n{place}", op, (nodes[-1].name,), op.shape(nodes[-1].shape)))
        return LayerGraph(tuple(nodes))

    return Pair.of(network(), network(codes), semantics=semantics)


@pytest.mark.parametrize("method", [IntervalArithmetic(), Crown(), TwinBounds()])
def test_twins_drift_nowhere_on_the_grid(method: object) -> None:
    assert isinstance(method, IntervalArithmetic | Crown | TwinBounds)
    both, region = pair(), Grid.around(CENTRES, 3 * STEP, step=STEP)
    drift = method.certify(both, region, Placement()).drift
    rounded = method.certify(both, Box.around(CENTRES, 3 * STEP), Placement()).drift
    assert bool((drift.magnitude() <= rounded.magnitude()).all())
    if isinstance(method, TwinBounds):
        assert float(drift.magnitude().max()) < 1e-10
        assert float(rounded.magnitude().max()) > STEP / 2


@pytest.mark.parametrize("semantics", [Semantics.REAL, Semantics.INT8])
def test_members_of_the_grid_lie_inside(semantics: Semantics) -> None:
    both, region = pair(semantics=semantics), Grid.around(2 * CENTRES, 2 * STEP, step=2 * STEP)
    assert on_grid(both, region) is not both
    drift = TwinBounds().certify(both, region, Placement()).drift
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        points = region.sample(torch.arange(region.batch), generator)
        seen = both.compressed(points) - both.original(points)
        assert bool(((drift.lower <= seen) & (seen <= drift.upper)).all())


def test_quantisers_that_round_or_saturate_stay() -> None:
    grid = Grid.around(CENTRES, STEP, step=STEP)
    for kept in (pair(scale=float(np.float32(2 * STEP))), pair(low=0), pair(low=-20)):
        assert on_grid(kept, grid) is kept
    idle = pair()
    assert on_grid(idle, Box.around(CENTRES, STEP)) is idle
    assert on_grid(idle, grid).compressed.by_name().keys() < idle.compressed.by_name().keys()
