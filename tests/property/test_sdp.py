"""LipSDP: proved constants lie above every quotient, and nothing but real multipliers passes."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert.errors import BadInput, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.add import Add
from lipcert.ops.conv import Conv
from lipcert.ops.gelu import Gelu
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.silu import Silu
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.sdp import Chain, search, verified, verify
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Maps
from lipcert.sdp.quadratic import assembled
from lipcert.sets.enclosure import Interval

ACTIVATIONS = {
    "relu": Relu(),
    "leaky": LeakyRelu(torch.tensor(0.1).double()),
    "steep": LeakyRelu(torch.tensor(-0.5).double()),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "gelu": Gelu(),
    "silu": Silu(),
}


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def chain(shape: tuple[int, ...], *ops: Op) -> LayerGraph:
    nodes = [Node("x", None, (), shape)]
    for place, op in enumerate(ops):
        shape = op.shape(shape)
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes))


def dense(sizes: tuple[int, ...], seed: int, activation: Op | None = None) -> LayerGraph:
    ops: list[Op] = []
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        weight = normal(narrow, wide, seed=seed + place) * math.sqrt(2 / wide)
        ops += [Linear(weight, normal(narrow, seed=seed + place + 99)), activation or Relu()]
    return chain((sizes[0],), *ops[:-1])


def residual(seed: int, activation: Op | None = None) -> LayerGraph:
    """Two blocks with a skip around each, one of them linear, and an activation at the end."""
    act = activation or Relu()

    def line(wide: int, narrow: int, place: int) -> Linear:
        weight = normal(narrow, wide, seed=seed + place) / math.sqrt(wide)
        return Linear(weight, weight[:, 0])

    nodes = (
        Node("x", None, (), (5,)),
        Node("stem", line(5, 6, 0), ("x",), (6,)),
        Node("a", act, ("stem",), (6,)),
        Node("b1", line(6, 7, 1), ("a",), (7,)),
        Node("b2", act, ("b1",), (7,)),
        Node("b3", line(7, 6, 2), ("b2",), (6,)),
        Node("sum", Add((1, 1)), ("a", "b3"), (6,)),
        Node("c", act, ("sum",), (6,)),
        Node("side", line(6, 4, 3), ("c",), (4,)),
        Node("d1", line(6, 4, 4), ("c",), (4,)),
        Node("d2", act, ("d1",), (4,)),
        Node("diff", Add((1, -1)), ("side", "d2"), (4,)),
        Node("y", act, ("diff",), (4,)),
    )
    return LayerGraph(nodes)


def convolutional(seed: int, activation: Op | None = None) -> LayerGraph:
    """Uneven pads, strides, groups, a scale, a linear head."""
    act = activation or Relu()
    first = Conv(
        normal(4, 2, 3, 2, seed=seed), normal(4, seed=seed), (2, 6, 5), (2, 1), pads=(1, 0, 0, 1)
    )
    middle = first.shape((2, 6, 5))
    second = Conv(
        normal(4, 1, 3, 3, seed=seed + 1), normal(4, seed=2), middle, pads=(1, 1, 1, 1), groups=4
    )
    scale = Scale(normal(4, 1, 1, seed=seed + 2), normal(4, 1, 1, seed=3))
    flat = math.prod(middle)
    head = Linear(normal(3, flat, seed=seed + 4) / 4, normal(3, seed=5))
    return chain((2, 6, 5), first, act, second, scale, act, Reshape(middle, (flat,)), head)


MADE: dict[str, Callable[[int, Op | None], LayerGraph]] = {
    "dense": lambda seed, act: dense((5, 9, 8, 4), seed, act),
    "deep": lambda seed, act: dense((4, *[6] * 8, 3), seed, act),
    "residual": residual,
    "convolutional": convolutional,
}


def quotients(graph: LayerGraph, seed: int, rows: Tensor | None = None) -> Tensor:
    """Difference quotients over near and far pairs."""
    count, shape = 400, graph.input.shape
    one = normal(count, *shape, seed=seed)
    step = normal(count, *shape, seed=seed + 1)
    step *= torch.logspace(-6, 1, count, dtype=torch.float64).view(-1, *[1] * len(shape))
    rise = (graph(one + step) - graph(one)).flatten(1)
    rise = rise if rows is None else rise @ rows.T
    return rise.norm(dim=1) / step.flatten(1).norm(dim=1)


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_quotient_exceeds_the_constant(kind: str, activation: str):
    graph = MADE[kind](7, ACTIVATIONS[activation])
    proof = search(Chain.of(graph))
    seen = quotients(graph, 1)
    assert bool((seen <= proof.upper).all())
    assert proof.relaxation_lower <= proof.upper <= proof.relaxation_lower * 1.001


@pytest.mark.parametrize("rows", [[[1.0, 0, 0, 0]], [[0, 1.0, -1.0, 0]]])
def test_rows_bound_one_output_and_differences_of_two(rows: list[list[float]]):
    graph, outputs = dense((5, 9, 8, 4), 3), torch.tensor(rows, dtype=torch.float64)
    proof = search(Chain.of(graph, outputs=outputs))
    assert bool((quotients(graph, 5, outputs) <= proof.upper).all())
    assert proof.upper <= search(Chain.of(graph)).upper * math.sqrt(2) * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_never_above_the_norm_product(seed: int):
    graph = dense((6, 10, 9, 8, 3), seed)
    product = math.prod(
        float(torch.linalg.matrix_norm(node.op.weight, 2))
        for node in graph.nodes
        if isinstance(node.op, Linear)
    )
    assert search(Chain.of(graph)).upper <= product * (1 + 1e-9)


def test_an_affine_network_has_its_spectral_norm():
    weights = [normal(4, 3, seed=1), normal(2, 4, seed=2)]
    graph = chain((3,), *(Linear(w, w[:, 0]) for w in weights))
    norm = float(torch.linalg.matrix_norm(weights[1] @ weights[0], 2))
    assert search(Chain.of(graph)).upper == pytest.approx(norm, rel=1e-9)


def test_a_network_that_is_constant_has_constant_zero():
    graph = chain(
        (3,),
        Linear(normal(4, 3, seed=1), normal(4, seed=1)),
        Relu(),
        Linear(torch.zeros(2, 4).double(), normal(2, seed=1)),
    )
    assert search(Chain.of(graph)).upper == 0.0


def test_scaling_an_output_scales_its_constant():
    graph = dense((5, 9, 8, 4), 3)
    rows = torch.eye(4, dtype=torch.float64)
    one, eight = (search(Chain.of(graph, outputs=rows * c)).upper for c in (1.0, 8.0))
    assert eight == pytest.approx(8 * one, rel=1e-3)


def test_neurons_of_known_slope_leave_the_program():
    graph = dense((5, 9, 8, 4), 3)
    slopes = {}
    for name, size in (("n1", 9), ("n3", 8)):
        lower, upper = torch.zeros(1, size).double(), torch.ones(1, size).double()
        lower[0, :3], upper[0, 3:6] = 1.0, 0.0
        slopes[name] = Interval(lower, upper)
    local = Chain.of(graph, slopes)
    assert local.neurons == 5
    assert search(local).upper <= search(Chain.of(graph)).upper * (1 + 1e-3)


def test_all_slopes_known_gives_the_norm_of_one_matrix():
    graph = dense((5, 9, 4), 3)
    on = torch.tensor([1.0, 0, 0.25, 1, 1, 0, 0, 1, 0.1]).double()
    proof = search(Chain.of(graph, {"n1": Interval(on[None], on[None])}))
    first, last = (graph.nodes[k].op for k in (1, 3))
    assert isinstance(first, Linear)
    assert isinstance(last, Linear)
    norm = float(torch.linalg.matrix_norm(last.weight @ torch.diag(on) @ first.weight, 2))
    assert proof.upper == pytest.approx(norm, rel=1e-9)


def test_slopes_known_but_for_rounding_leave_their_error_in_the_maps():
    """A curve's slope that rounds to one: the true one may lie on either side of it."""
    graph, about = dense((5, 9, 4), 3), 2.0**-45
    ones = torch.ones(1, 9, dtype=torch.float64)
    sector = Interval(ones * (1 - about), ones * (1 + about))
    output = Chain.of(graph, {"n1": sector}).output
    exact = Chain.of(graph, {"n1": Interval.point(ones)}).output
    for slope in (1 - about, 1 + about):
        far = abs(exact.weight[0] * slope - output.weight[0])
        assert (far <= output.error[0]).all()
        assert not (far <= exact.error[0]).all()


@pytest.mark.parametrize("width", [1e-11, 1e-9, 1e-7, 1e-4])
@pytest.mark.parametrize("middle", [-0.7, 0.4, 3.0])
def test_narrow_sectors_end_near_one_matrix(middle: float, width: float):
    """Squares of slopes all but cancel in P; a search once ended in an assertion."""
    graph = dense((5, 9, 8, 4), 3)
    slopes = {}
    for name, size in (("n1", 9), ("n3", 8)):
        at = middle * (1 + torch.rand(1, size, generator=torch.Generator().manual_seed(size)))
        slopes[name] = Interval(at.double() - width, at.double() + width)
    proof = search(Chain.of(graph, slopes))
    matrix = torch.eye(5, dtype=torch.float64)
    for node in graph.nodes[1:]:
        if isinstance(node.op, Linear):
            matrix = node.op.weight @ matrix
        else:
            matrix = slopes[node.name].centre[0, :, None] * matrix
    norm = float(torch.linalg.matrix_norm(matrix, 2))
    assert norm * (1 - 1e-9) <= proof.upper <= norm * (1 + 1e-2)
    assert proof.relaxation_lower <= norm * (1 + width * 10)


def test_many_layers_of_one_block_are_summed_within_the_doubt():
    """Every one of sixty sums is rounded up: as in a residual network of leaky ReLUs."""
    unit = 2.0**-53
    weights = [1.0] + [math.sqrt(1.1 * unit)] * 60
    ends, one = (np.array([0.5]), np.array([2.0])), np.ones(1)
    layers = tuple(
        Layer("leaky", np.array([0]), Maps(1, {0: np.array([[weight]])}), *ends)
        for weight in weights
    )
    chain = Chain(1, layers, Maps(1, {0: np.zeros((1, 1))}))
    found = assembled(chain, [one] * len(layers), 0.0)[0, 0].item()
    exact = sum(Fraction(weight) ** 2 for weight in weights)
    doubt = verify._doubt(chain, [one] * len(layers), dict.fromkeys(range(len(layers) + 2), one))
    assert abs(Fraction(found) - exact) > 50 * unit
    assert abs(Fraction(found) - exact) <= Fraction(doubt[0].item())


# --- what must fail -----------------------------------------------------------------------


def test_tampered_multipliers_fail():
    network = Chain.of(dense((5, 9, 8, 4), 3))
    proof = search(network)
    rho = proof.upper**2
    assert verified(network, proof.multipliers, rho)
    assert not verified(network, proof.multipliers, rho * 0.99)
    assert not verified(network, tuple(m * 4 for m in proof.multipliers), rho)
    assert not verified(network, (proof.multipliers[0], -proof.multipliers[1]), rho)
    assert not verified(network, (proof.multipliers[0] * np.nan, proof.multipliers[1]), rho)
    assert not verified(network, proof.multipliers[:1], rho)
    assert not verified(network, proof.multipliers, math.nan)


def test_slopes_are_those_of_the_activation():
    """GELU as a sector [0, 1] would prove less than its steepest slope, 1.129."""
    graph = chain((1,), Linear(torch.ones(1, 1).double(), torch.zeros(1).double()), Gelu())
    assert search(Chain.of(graph)).upper >= 1.128


def test_coupled_multipliers_would_be_unsound():
    """0 -> 1 and -2 -> -1: two neurons of one ReLU, no multiplier between them may be allowed.

    The coupled condition claims (dv_i - dv_j - (du_i - du_j)) (du_i - du_j) >= 0 for any two
    neurons' increments; neuron 1 going from 0 to 1 and neuron 2 from -2 to -1 break it.
    """
    before, after = torch.tensor([0.0, -2.0]), torch.tensor([1.0, -1.0])
    v = after - before
    u = torch.relu(after) - torch.relu(before)
    claim = (v[0] - v[1] - (u[0] - u[1])) * (u[0] - u[1])
    assert float(claim) < 0
    assert bool((u * (v - u) >= 0).all())  # the diagonal conditions hold


def test_what_is_no_activation_is_refused():
    line = Linear(normal(3, 3, seed=1), normal(3, seed=2))
    with pytest.raises(UnsupportedOp, match="'n1' is a Softmax"):
        Chain.of(chain((3,), line, Softmax(), line))
    steps = Quantize(*(torch.tensor(v).double() for v in (0.1, -8.0, 7.0)))
    with pytest.raises(UnsupportedOp, match="no finite slope"):
        Chain.of(chain((3,), line, steps, line))


def test_slopes_and_rows_of_another_shape_are_refused():
    graph = dense((5, 9, 4), 3)
    flat = torch.zeros(9).double()
    with pytest.raises(BadInput, match="slopes of 'n1'"):
        Chain.of(graph, {"n1": Interval(flat, flat)})
    with pytest.raises(BadInput, match="outputs must be float64"):
        Chain.of(graph, outputs=torch.eye(3).double())
