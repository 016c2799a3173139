"""The structured LipSDP beside the generic one, solved and proved by the backends."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.add import Add
from lipcert.ops.gelu import Gelu
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.relu import Relu
from lipcert.ops.tanh import Tanh
from lipcert.sdp import Chain, search
from lipcert.sdp.generic import generic
from lipcert.sdp.quadratic import assembled
from solvers import prove

ACTIVATIONS: dict[str, Op] = {
    "relu": Relu(),
    "leaky": LeakyRelu(torch.tensor(0.1).double()),
    "steep": LeakyRelu(torch.tensor(-0.5).double()),
    "tanh": Tanh(),
    "gelu": Gelu(),
}


def line(wide: int, narrow: int, seed: int) -> Linear:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(narrow, wide, generator=generator, dtype=torch.float64)
    return Linear(weight * math.sqrt(2 / wide), weight[:, 0])


def dense(activation: Op, seed: int, sizes: tuple[int, ...] = (4, 6, 5, 3)) -> LayerGraph:
    nodes = [Node("x", None, (), (sizes[0],))]
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        nodes.append(
            Node(f"z{place}", line(wide, narrow, seed + place), (nodes[-1].name,), (narrow,))
        )
        nodes.append(Node(f"a{place}", activation, (nodes[-1].name,), (narrow,)))
    return LayerGraph(tuple(nodes[:-1]))


def residual(activation: Op, seed: int) -> LayerGraph:
    nodes = (
        Node("x", None, (), (4,)),
        Node("z1", line(4, 5, seed), ("x",), (5,)),
        Node("a1", activation, ("z1",), (5,)),
        Node("z2", line(5, 5, seed + 1), ("a1",), (5,)),
        Node("a2", activation, ("z2",), (5,)),
        Node("sum", Add((1, 1)), ("a1", "a2"), (5,)),
        Node("y", line(5, 3, seed + 2), ("sum",), (3,)),
    )
    return LayerGraph(nodes)


@pytest.mark.parametrize("make", [dense, residual])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_program_is_the_structured_matrix(
    make: Callable[[Op, int], LayerGraph], name: str
) -> None:
    chain = Chain.of(make(ACTIVATIONS[name], 1))
    program = generic(chain)
    rng = np.random.default_rng(0)
    point = rng.random(program.variables)
    parts = np.split(point[1:], np.cumsum([layer.size for layer in chain.layers])[:-1])
    blocks = assembled(chain, parts, point[0])
    starts = np.cumsum([0, *chain.sizes, chain.output.size])
    expected = np.zeros((starts[-1], starts[-1]))
    for (i, j), block in blocks.items():
        expected[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = block
        expected[starts[j] : starts[j + 1], starts[i] : starts[i + 1]] = block.T
    cone, rows = next(program.blocks())
    slack = program.b - program.A @ point
    np.testing.assert_allclose(cone.unpack(slack[rows]), expected, atol=1e-12)
    np.testing.assert_array_equal(slack[rows.stop :], point[1:])


@pytest.mark.parametrize("backend", ["clarabel", "scs"])
@pytest.mark.parametrize("make", [dense, residual])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_search_beats_the_proved_optimum(
    make: Callable[[Op, int], LayerGraph], name: str, backend: str
) -> None:
    pytest.importorskip(backend)
    chain = Chain.of(make(ACTIVATIONS[name], 3))
    proved, _ = prove(generic(chain), backend)
    assert proved.gap <= 1e-4 * proved.upper
    found = search(chain)
    rounded = 1e-9  # of the program's own numbers, and of relaxation_lower's arithmetic
    assert found.upper**2 >= proved.lower * (1 - rounded)
    assert found.relaxation_lower**2 <= proved.upper * (1 + rounded)
    assert found.upper <= math.sqrt(proved.upper) * 1.001
