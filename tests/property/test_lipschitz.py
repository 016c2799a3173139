"""No difference quotient exceeds a proved constant: random networks, norms, regions."""

import functools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lipcert.certify import load_pair
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.graph.simplify import simplify
from lipcert.lipschitz import Effort, LipschitzBound, lipschitz
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.quotient import quotients
from lipcert.lipschitz.relaxations import scan
from lipcert.numeric.norm import Norm
from lipcert.ops.add import Add
from lipcert.ops.conv import Conv
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.relu import Relu
from lipcert.ops.silu import Silu
from lipcert.ops.tanh import Tanh
from lipcert.read import read_module
from lipcert.sets.region import Ball, Box, Region

QUICK = Effort(limit_seconds=0.1, ascent=Ascent(steps=4, starts=3))
NORMS = ("1", "2", "inf")
ACTIVATIONS: dict[str, Op] = {
    "relu": Relu(),
    "leaky": LeakyRelu(torch.tensor(0.1).double()),
    "steep": LeakyRelu(torch.tensor(-1.5).double()),
    "tanh": Tanh(),
    "gelu": Gelu(),
    "silu": Silu(),
    "hardswish": HardSwish(),
}


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()
        self.stem = nn.Conv2d(2, 3, 3, padding=1)
        self.left = nn.Conv2d(3, 3, 3, padding=1)
        self.down = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.beside = nn.Conv2d(3, 4, 1, stride=2)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 3 * 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(x))
        x = self.act(self.left(x) + x)
        x = self.act(self.norm(self.down(x)) + self.beside(x))
        return self.head(torch.flatten(x, 1))


def dense() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 7), nn.ReLU(), nn.Linear(7, 3))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 1 * 3, 4),
    )


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(3 * 3 * 3, 3),
        nn.Softmax(-1),
    )


def halved() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 2, 3, padding=1, bias=False),
        nn.Conv2d(2, 2, (3, 1), padding=(1, 0)),
        nn.ReLU(),
    )


KINDS = {
    "halved": (halved, (2, 6, 8)),
    "dense": (dense, (6,)),
    "convolutional": (convolutional, (2, 6, 6)),
    "residual": (Residual, (2, 6, 6)),
    "pooled": (pooled, (2, 6, 6)),
}


@functools.cache
def read(kind: str) -> LayerGraph:
    make, shape = KINDS[kind]
    return simplify(read_module(make().double().eval(), shape))


def made(kind: str, activation: str, seed: int) -> LayerGraph:
    """The kind's graph with weights and activations of its own; maxima stay maxima."""
    generator, graph = torch.Generator().manual_seed(seed), read(kind)
    nodes = graph.by_name()

    def drawn(node: Node) -> Op | None:
        op = node.op
        if isinstance(op, Relu) and not isinstance(nodes[node.inputs[0]].op, Add):
            return ACTIVATIONS[activation]
        if not isinstance(op, Conv | Linear):
            return op
        size = op.weight[0].numel() ** -0.5
        fresh = torch.randn(op.weight.shape, generator=generator, dtype=torch.float64)
        shift = torch.randn(op.bias.shape, generator=generator, dtype=torch.float64)
        return replace(op, weight=1.5 * size * fresh, bias=shift)

    return replace(graph, nodes=tuple(replace(n, op=drawn(n)) for n in graph.nodes))


def around(shape: tuple[int, ...], radius: float, seed: int, ball: bool) -> Region:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return (Ball if ball else Box).around(centre, radius)


def seen(graph: LayerGraph, region: Region | None, norm: Norm, seed: int) -> Tensor:
    """Proved lower bounds of quotients between random points, near and far, (rows, pairs)."""
    generator = torch.Generator().manual_seed(seed)
    rows = 1 if region is None else region.batch
    found: list[Tensor] = []
    for step in (1.0, 1e-2, 1e-5):
        noise = [
            torch.randn(rows, 8, *graph.input.shape, generator=generator).double() for _ in "ab"
        ]
        first, second = noise[0] * 3, noise[0] * 3 + step * noise[1]
        if region is not None:
            which = torch.arange(rows).repeat_interleave(8)
            middle, width = (
                region.hull.centre[which],
                (region.hull.upper - region.hull.lower)[which],
            )
            first = region.project(middle + width * noise[0].flatten(0, 1), which)
            second = region.project(first + step * width * noise[1].flatten(0, 1), which)
        else:
            first, second = first.flatten(0, 1), second.flatten(0, 1)
        found.append(quotients(graph, first, second, norm).view(rows, 8))
    return torch.cat(found, 1)


def sound(graph: LayerGraph, bound: LipschitzBound, seed: int) -> None:
    largest = torch.maximum(
        seen(graph, bound.region, bound.norm, seed).amax(1), bound.seen.quotient
    )
    for name, proof in bound.proofs.items():
        assert bool((proof.upper >= largest).all()), name
    assert bool((bound.upper_per_region >= largest).all())


@settings(max_examples=14, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    norm=st.sampled_from(NORMS),
    seed=st.integers(0, 10**6),
)
def test_everywhere(kind: str, activation: str, norm: str, seed: int) -> None:
    graph = made(kind, activation, seed)
    sound(graph, lipschitz(graph, norm=norm, effort=QUICK), seed)


@settings(max_examples=14, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    norm=st.sampled_from(NORMS),
    exponent=st.floats(-6, 0.5),
    ball=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_in_a_region(
    kind: str, activation: str, norm: str, exponent: float, ball: bool, seed: int
) -> None:
    graph = made(kind, activation, seed)
    region = around(graph.input.shape, 10**exponent, seed, ball)
    local = lipschitz(graph, norm=norm, region=region, effort=QUICK)
    sound(graph, local, seed)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["dense", "residual"])
def test_a_smaller_region_gives_no_larger_constant(kind: str, norm: str) -> None:
    graph = made(kind, "relu", 3)
    outer: dict[str, Tensor] = {}
    for radius in (None, 10.0, 1.0, 0.1, 0.0):
        region = None if radius is None else around(graph.input.shape, radius, 0, ball=False)
        inner = lipschitz(graph, norm=norm, region=region, effort=QUICK)
        for name, proof in inner.proofs.items():
            if proof.inflation is None:  # searches stop where their time is up
                assert bool((proof.upper <= 1.0001 * outer.get(name, proof.upper)).all()), name
                outer[name] = proof.upper


@pytest.mark.parametrize("norm", NORMS)
def test_at_a_point_it_is_the_norm_of_the_jacobian(norm: str) -> None:
    graph = made("residual", "relu", 5)
    region = around(graph.input.shape, 0.0, 1, ball=False)
    bound = lipschitz(graph, norm=norm, region=region, effort=QUICK)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda x: graph(x[None])[0]))(region.hull.lower)
    exact = torch.linalg.matrix_norm(jacobian.flatten(2), Norm(norm).order)
    assert bool((bound.upper_per_region >= exact * (1 - 1e-12)).all())
    torch.testing.assert_close(bound.upper_per_region, exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_scaling_laws(kind: str, norm: str) -> None:
    """ReLU is positively homogeneous: one layer times four is the constant times four."""
    graph = made(kind, "relu", 11)
    body = replace(graph, nodes=graph.nodes[:-1]) if kind == "pooled" else graph
    heads = [node for node in body.nodes if hasattr(node.op, "weight")]
    stretched: list[LayerGraph] = []
    for head in (heads[0], heads[-1]):
        assert head.op is not None
        wide = {name: 4 * getattr(head.op, name) for name in ("weight", "bias")}
        nodes = [
            replace(n, op=n.op.with_parameters(wide)) if n is head and n.op else n
            for n in body.nodes
        ]
        stretched.append(replace(body, nodes=tuple(nodes)))
    before = lipschitz(body, norm=norm, effort=QUICK)
    for graph in stretched if kind != "residual" else stretched[1:]:
        after = lipschitz(graph, norm=norm, effort=QUICK)
        for name, proof in after.proofs.items():
            if proof.inflation is None:  # searches stop where their time is up
                expected = 4 * before.proofs[name].upper
                torch.testing.assert_close(proof.upper, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("norm", NORMS)
def test_of_a_pair(norm: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        module, other = (convolutional().double().eval() for _ in "fg")
        with torch.no_grad():
            for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
                theirs.copy_((mine * 64).round() / 64)
    pair = load_pair(module, other, shape=(2, 6, 6))
    region = around((2, 6, 6), 0.2, 0, ball=True)
    for where in (None, region):
        bounds = lipschitz(pair, norm=norm, region=where, effort=QUICK)
        sound(pair.original, bounds.original, 0)
        sound(pair.compressed, bounds.compressed, 0)
        sound(pair.joined(), bounds.difference, 0)
        total = bounds.original.upper + bounds.compressed.upper
        assert bounds.difference.upper <= total * (1 + 1e-9)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
@pytest.mark.parametrize("change", [1e-13, 1e-10])
def test_of_a_pair_that_all_but_agrees(kind: str, change: float) -> None:
    """The difference's maps are what is left of large ones: they are no bug of ours."""
    graph = read(kind)
    generator = torch.Generator().manual_seed(1)

    def moved(value: Tensor) -> Tensor:
        return value * (1 + change * torch.randn(value.shape, generator=generator).double())

    nodes = tuple(
        replace(node, op=replace(node.op, weight=moved(node.op.weight)))
        if isinstance(node.op, Linear | Conv)
        else node
        for node in graph.nodes
    )
    pair = Pair.of(graph, LayerGraph(nodes))
    region = around(graph.input.shape, 1e-9, 0, ball=True)
    bounds = lipschitz(pair, region=region, effort=QUICK)
    sound(pair.joined(), bounds.difference, 0)
    assert bounds.difference.upper <= 1e4 * change


def test_every_norm_has_a_relaxation_that_always_applies() -> None:
    covered = {norm for kind in scan().values() for norm in kind.norms}
    assert covered == set(Norm)
    assert math.isfinite(lipschitz(made("pooled", "relu", 0), norm=2, effort=QUICK).upper)
