"""LipSDP per channel: its symbols, its multipliers, and what the verification refuses."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lipcert.errors import Unsound
from lipcert.gain.affine import dense
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz.fourier.check import check
from lipcert.lipschitz.fourier.factor import solved, start
from lipcert.lipschitz.fourier.level import Level, folded, half, spread
from lipcert.lipschitz.fourier.program import Program, program
from lipcert.lipschitz.fourier.verify import verified
from lipcert.lipschitz.relaxation import Proved, Relaxation, Task
from lipcert.lipschitz.relaxations.fourier import FourierSdp
from lipcert.lipschitz.relaxations.lipsdp import LipSdp
from lipcert.lipschitz.relaxations.product import Product
from lipcert.lipschitz.slopes import everywhere
from lipcert.numeric.norm import Norm
from lipcert.numeric.placement import Placement
from lipcert.ops.add import Add
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.gelu import Gelu
from lipcert.ops.kinds import Affine, Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select
from lipcert.ops.transpose import Transpose
from lipcert.sets.enclosure import Interval
from lipcert.walk.progress import quiet


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class Net:
    """Nodes one after the other, each reading the last one unless told otherwise."""

    def __init__(self, *shape: int) -> None:
        self.nodes = [Node("x", None, (), shape)]

    def add(self, op: Op, *inputs: str) -> str:
        names = {node.name: node for node in self.nodes}
        read = inputs or (self.nodes[-1].name,)
        shape = op.shape(*(names[name].shape for name in read))
        self.nodes.append(Node(f"n{len(self.nodes)}", op, read, shape))
        return self.nodes[-1].name

    def conv(self, outer: int, size: int, *inputs: str, **options: object) -> str:
        names = {node.name: node for node in self.nodes}
        before = names[inputs[0]].shape if inputs else self.nodes[-1].shape
        groups = int(str(options.get("groups", 1)))
        weight = normal(outer, before[0] // groups, size, size, seed=len(self.nodes))
        weight = weight / math.sqrt(weight[0].numel())
        return self.add(Conv(weight, weight[:, 0, 0, 0], before, **options), *inputs)  # type: ignore[arg-type]

    def head(self, outer: int, *order: int) -> LayerGraph:
        if order:
            self.add(Transpose(order))
        before = self.nodes[-1].shape
        size = math.prod(before)
        self.add(Reshape(before, (size,)))
        self.add(Linear(normal(outer, size) / math.sqrt(size), normal(outer)))
        return self.graph()

    def graph(self) -> LayerGraph:
        return LayerGraph(tuple(self.nodes))


def plain() -> LayerGraph:
    net = Net(2, 5, 6)
    net.conv(3, 3, pads=(1, 1, 1, 1))
    net.add(Relu())
    net.conv(4, 3, pads=(1, 0, 1, 2), stride=(2, 2))
    net.add(Relu())
    return net.head(3, 1, 2, 0)


def residual() -> LayerGraph:
    net = Net(2, 8, 8)
    net.conv(4, 3, pads=(1, 1, 1, 1))
    stem = net.add(Relu())
    net.conv(4, 3, pads=(1, 1, 1, 1))
    net.add(Relu())
    net.conv(4, 3, pads=(1, 1, 1, 1))
    net.add(Add((1, 1)), net.nodes[-1].name, stem)
    joined = net.add(Relu())
    left = net.conv(6, 3, joined, pads=(0, 0, 1, 1), stride=(2, 2))
    right = net.conv(6, 1, joined, stride=(2, 2))
    net.add(Add((1, -1)), left, right)
    net.add(Relu())
    net.conv(6, 4, groups=6)
    return net.head(3)


def masked() -> LayerGraph:
    """Convolutions one behind the other, and activations that do not vanish at zero slope."""
    net = Net(2, 6, 5)
    net.conv(3, 3, pads=(1, 1, 1, 1))
    net.conv(3, 3, pads=(2, 2, 2, 2), dilation=(2, 2))
    net.add(Scale(normal(3, 1, 1), normal(3, 1, 1)))
    net.add(Gelu())
    net.conv(3, 2, pads=(1, 1, 0, 0))
    net.add(LeakyRelu(torch.tensor(-0.3).double()))
    net.add(Pad((0, 1, 0), (0, 0, 2), net.nodes[-1].shape))
    net.conv(2, 3, pads=(1, 1, 1, 1))
    return net.graph()


def branches() -> LayerGraph:
    net = Net(3, 6, 6)
    first = net.conv(2, 3, "x", pads=(1, 1, 1, 1))
    second = net.conv(3, 1, "x")
    net.add(Concat(0, (2, 3)), first, second)
    net.add(Relu())
    whole = net.nodes[-1].name
    even = net.add(Select(1, (0, 2, 4), 6), whole)
    odd = net.add(Select(1, (1, 3, 5), 6), whole)
    gap = net.add(Add((1, -1)), even, odd)
    net.add(Add((1, 1)), odd, net.add(Relu(), gap))
    net.add(Select(0, (4, 0, 2), 5))
    net.conv(2, 3, pads=(1, 1, 1, 1), stride=(1, 2))
    net.add(Relu())
    net.head(4)
    net.add(Relu())
    net.add(Linear(normal(2, 4), normal(2)))
    return net.graph()


def strip() -> LayerGraph:
    """One axis long, the other of one position, which padded kernels reach beyond."""
    net = Net(3, 12, 1)
    net.conv(4, 3, pads=(1, 1, 1, 1), stride=(2, 1))
    net.add(Relu())
    net.conv(4, 3, pads=(0, 1, 0, 1))
    net.add(Relu())
    return net.head(2)


NETS: dict[str, Callable[[], LayerGraph]] = {
    "plain": plain,
    "residual": residual,
    "masked": masked,
    "branches": branches,
    "strip": strip,
}


def made(graph: LayerGraph) -> Program:
    found = program(graph, dict(everywhere(graph)), 4096)
    assert found is not None
    return found


def proof(kind: Relaxation, graph: LayerGraph) -> Proved:
    task = Task(graph, everywhere(graph), Norm.TWO, 1, Placement(), 5.0, quiet)
    found = kind.prove(task)
    assert found is not None
    return found


@pytest.mark.parametrize("name", NETS)
def test_symbols_are_those_of_the_network(name: str) -> None:
    graph = NETS[name]()
    check(graph, dict(everywhere(graph)), made(graph))


@pytest.mark.parametrize("name", NETS)
def test_bounds_lie_above_gradients_and_below_the_product(name: str) -> None:
    graph = NETS[name]()
    upper = float(proof(FourierSdp(), graph).upper)
    points = normal(16, *graph.input.shape, seed=5)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda x: graph(x[None])[0].flatten()))(points)
    seen = float(torch.linalg.matrix_norm(jacobians.flatten(2), 2).max())
    assert seen <= upper
    if name != "masked":  # there each mask is relaxed to any slope between zero and one
        assert upper <= 1.001 * float(proof(Product(), graph).upper)


@pytest.mark.parametrize("name", ["plain", "residual", "strip"])
def test_multipliers_of_single_neurons_prove_no_more_than_their_own_program(name: str) -> None:
    """Both are LipSDP; one per channel is a restriction, on a larger map."""
    graph = NETS[name]()
    single = proof(LipSdp(), graph)
    assert single.relaxation_lower is not None
    assert float(proof(FourierSdp(), graph).upper) >= float(single.relaxation_lower)


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_those_of_difference_quotients(name: str) -> None:
    found = made(NETS[name]())
    weights = start(found)
    here = solved(found, weights)
    assert math.isfinite(here.constant)
    for block, gradient in enumerate(here.gradient):
        step = 1e-6 * weights[block][0]
        sides = []
        for sign in (1, -1):
            moved = [w.clone() for w in weights]
            moved[block][0] += sign * step
            sides.append(solved(found, moved).constant)
        quotient = (sides[0] - sides[1]) / (2 * float(step))
        assert float(gradient[0]) == pytest.approx(quotient, rel=1e-3, abs=1e-6 * here.constant)


@pytest.mark.parametrize("name", NETS)
def test_only_multipliers_that_prove_it_are_accepted(name: str) -> None:
    found = made(NETS[name]())
    weights = start(found)
    square = solved(found, weights).constant
    assert verified(found, weights, square * (1 + 1e-6))
    assert not verified(found, weights, square * (1 - 1e-6))
    assert not verified(found, [4 * w for w in weights], 100 * square)
    assert not verified(found, [-w for w in weights], 100 * square)
    assert not verified(found, [w * math.nan for w in weights], 100 * square)


def test_a_wrong_symbol_is_noticed() -> None:
    graph = plain()
    found = made(graph)
    wave = found.blocks[2].reads[1]
    wave.values[3] *= 1.001
    with pytest.raises(Unsound, match="not those of the network"):
        check(graph, dict(everywhere(graph)), found)


def test_networks_without_maps_are_left_to_others() -> None:
    flat = Net(4)
    flat.add(Linear(normal(3, 4), normal(3)))
    uneven = Net(2, 6, 6)
    uneven.add(Select(1, (0, 0, 2, 4, 5), 6))
    uneven.add(Relu())
    uneven.head(2)
    varying = Net(2, 4, 4)
    varying.add(Scale(normal(2, 4, 4), normal(2, 4, 4)))
    varying.head(2)
    for net in (flat, uneven, varying):
        graph = net.graph()
        task = Task(graph, everywhere(graph), Norm.TWO, 1, Placement(), 5.0, quiet)
        assert FourierSdp().prove(task) is None


def test_where_all_slopes_are_known_it_is_the_norm_of_a_linear_map() -> None:
    net = Net(2, 5, 4)
    net.conv(3, 1)
    net.add(Relu())
    net.conv(2, 1)
    graph = net.head(2)
    ones = torch.ones(1, 3, 5, 4, dtype=torch.float64)
    task = Task(graph, {"n2": Interval(ones, ones)}, Norm.TWO, 1, Placement(), 5.0, quiet)
    found = FourierSdp().prove(task)
    assert found is not None
    matrix = torch.eye(40, dtype=torch.float64)
    for node in (graph.nodes[1], graph.nodes[3], graph.nodes[5]):
        assert isinstance(node.op, Affine)
        before = {n.name: n for n in graph.nodes}[node.inputs[0]].shape
        matrix = dense(node.op, before) @ matrix
    exact = float(torch.linalg.matrix_norm(matrix, 2))
    assert exact * (1 - 1e-12) <= float(found.upper) <= exact * (1 + 1e-6)


@pytest.mark.parametrize("fine", [Level(6, 4), Level(5, 3), Level(1, 8), Level(4, 4)])
def test_half_of_the_frequencies_stand_for_all(fine: Level) -> None:
    x = normal(2, fine.height, fine.width)
    waves, kept = torch.fft.fft2(x), half(fine)
    some = waves[:, kept.rows, kept.columns].T
    assert int(kept.weight.sum()) == fine.frequencies
    for coarse in (fine, Level(1, 1), Level(fine.height, 1)):
        total = folded(some, fine, coarse)
        down, right = fine.height // coarse.height, fine.width // coarse.width
        expected = torch.fft.fft2(x[:, ::down, ::right]) * down * right
        other = half(coarse)
        torch.testing.assert_close(total, expected[:, other.rows, other.columns].T)
        every = spread(total, fine, coarse)
        rows, columns = kept.rows % coarse.height, kept.columns % coarse.width
        torch.testing.assert_close(every, expected[:, rows, columns].T)
