"""The drift SDP: samples and attacks lie inside, multipliers are verified apart from the search."""

import itertools
import math
import signal
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert import Ball, Box, Pair, Placement
from lipcert.attacks.drift import DriftAttack
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.semantics import Semantics
from lipcert.methods.sdp import NAME, DriftSdp, Searches, Told
from lipcert.methods.sdp_facts import DriftFacts, drift_facts
from lipcert.methods.twin import TwinBounds
from lipcert.ops.add import Add
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.tanh import Tanh
from lipcert.sdp import Chain
from lipcert.sdp import search as lipschitz_search
from lipcert.sdp.procedure import Course, Forms, Products, search
from lipcert.sdp.procedure.interior import schur
from lipcert.sdp.procedure.proof import Multipliers, holds
from lipcert.sdp.procedure.scaled import Scaled
from lipcert.sets.enclosure import Interval

ACTIVATIONS: dict[str, Op] = {
    "relu": Relu(),
    "leaky": LeakyRelu(torch.tensor(0.2, dtype=torch.float64)),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
}


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def dense(seed: int, activation: Op, sizes: tuple[int, ...] = (4, 9, 7, 3)) -> LayerGraph:
    nodes = [Node("x", None, (), (sizes[0],))]
    for place, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        line = Linear(normal(narrow, wide, seed=seed + place) / math.sqrt(wide) * 1.5,
                      normal(narrow, seed=seed - place) / 3)  # fmt: skip
        nodes.append(Node(f"z{place}", line, (nodes[-1].name,), (narrow,)))
        nodes.append(Node(f"a{place}", activation, (nodes[-1].name,), (narrow,)))
    return LayerGraph(tuple(nodes[:-1]))


def residual(seed: int, activation: Op) -> LayerGraph:
    def line(wide: int, narrow: int, place: int) -> Linear:
        return Linear(normal(narrow, wide, seed=seed + place) / math.sqrt(wide),
                      normal(narrow, seed=place) / 3)  # fmt: skip

    nodes = (
        Node("x", None, (), (4,)),
        Node("stem", line(4, 6, 0), ("x",), (6,)),
        Node("a", activation, ("stem",), (6,)),
        Node("b1", line(6, 5, 1), ("a",), (5,)),
        Node("b2", activation, ("b1",), (5,)),
        Node("b3", line(5, 6, 2), ("b2",), (6,)),
        Node("sum", Add((1, 1)), ("a", "b3"), (6,)),
        Node("c", activation, ("sum",), (6,)),
        Node("y", line(6, 3, 3), ("c",), (3,)),
    )
    return LayerGraph(nodes)


MADE: dict[str, Callable[[int, Op], LayerGraph]] = {"dense": dense, "residual": residual}


def disturbed(graph: LayerGraph, share: float, seed: int) -> LayerGraph:
    """Weights moved at random, or at `share` = 1 every second one taken away."""
    nodes = []
    for place, node in enumerate(graph.nodes):
        op = node.op
        if isinstance(op, Linear):
            noise = normal(*op.weight.shape, seed=seed + place)
            moved = op.weight * (noise > 0) if share == 1 else op.weight * (1 + share * noise)
            op = replace(op, weight=moved)
        nodes.append(replace(node, op=op))
    return LayerGraph(tuple(nodes))


def facts_of(pair: Pair, region: Ball) -> DriftFacts:
    return drift_facts(pair, region, Placement())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("share", [0.01, 1.0])
def test_no_sample_and_no_attack_leaves_the_bounds(
    kind: str, activation: str, share: float
) -> None:
    graph = MADE[kind](3, ACTIVATIONS[activation])
    pair = Pair.of(graph, disturbed(graph, share, 5))
    assert pair.aligned
    region = Ball.around(normal(1, 4, seed=8), 0.7 if share < 1 else 0.05)
    bounds = DriftSdp().certify(pair, region, Placement())
    twin = TwinBounds().certify(pair, region, Placement()).drift
    assert bounds.norm is not None
    assert bounds.origin is not None
    assert NAME in bounds.origin.names
    assert bool((bounds.drift.lower >= twin.lower).all() & (bounds.drift.upper <= twin.upper).all())
    generator = torch.Generator().manual_seed(1)
    for row in range(region.batch):
        points = region.sample(torch.full((400,), row), generator)
        drift = pair.compressed(points) - pair.original(points)
        assert bool((drift >= bounds.drift.lower[row]).all())
        assert bool((drift <= bounds.drift.upper[row]).all())
        assert float(drift.norm(dim=1).max()) <= float(bounds.norm[row])
    seen = DriftAttack(seed=2).observe(pair, region, Placement()).drift
    assert bool((seen.lower >= bounds.drift.lower).all())
    assert bool((seen.upper <= bounds.drift.upper).all())


@pytest.fixture(scope="module")
def solved() -> tuple[DriftFacts, Products, float, Multipliers]:
    graph = dense(3, Relu())
    pair = Pair.of(graph, disturbed(graph, 0.05, 5))
    facts = facts_of(pair, Ball.around(normal(1, 4, seed=8), 0.5))
    goal = Products(facts.drift, facts.drift)
    proof = search(facts.known, goal, 1.0, 60.0, lambda _progress: None)
    assert proof.multipliers is not None
    assert proof.upper <= proof.relaxation_lower * 1.01
    return facts, goal, proof.upper, proof.multipliers


@pytest.mark.parametrize("eps", [0.1, 0.4, 1.2])
def test_searches_end_at_what_the_relaxation_gives(eps: float) -> None:
    graph = dense(3, Relu())
    facts = facts_of(Pair.of(graph, disturbed(graph, 0.05, 5)),
                     Ball.around(normal(1, 4, seed=8), eps))  # fmt: skip
    proof = search(facts.known, Products(facts.drift, facts.drift), 1.0, 60.0, lambda _: None)
    assert proof.relaxation_lower <= proof.upper <= proof.relaxation_lower * 1.002


def test_rounding_may_hide_the_inside_of_the_set() -> None:
    """Sectors so narrow that a start was inside and a quarter of its rest was not: a crash once."""
    first = torch.tensor([[0.03, 1.35], [-0.16, 0.24], [0.93, 0.26], [0.27, 0.21]]).double()
    nodes = (
        Node("x", None, (), (2,)),
        Node("z", Linear(first, normal(4, seed=4) / 4), ("x",), (4,)),
        Node("a", Tanh(), ("z",), (4,)),
        Node("b", HardSwish(), ("a",), (4,)),
        Node("y", Linear(normal(1, 4, seed=5), torch.zeros(1).double()), ("b",), (1,)),
    )
    graph = LayerGraph(nodes)
    pair = Pair.of(graph, disturbed(graph, 1e-12, 5))
    for eps in (1e-6, 0.03):
        bounds = DriftSdp(limit_seconds=0.1).certify(
            pair, Ball.around(normal(1, 2, seed=8), eps), Placement()
        )
        assert bool((bounds.drift.lower <= bounds.drift.upper).all())


def test_a_relu_is_all_but_exact() -> None:
    """Slopes from the centre and lines alone leave half as much open again."""
    graph = dense(3, Relu(), (2, 2, 1))
    pair = Pair.of(graph, disturbed(graph, 0.3, 5))
    region = Ball.around(torch.zeros(1, 2, dtype=torch.float64), 2.0)
    drift = DriftSdp().certify(pair, region, Placement()).drift
    line = torch.linspace(-2, 2, 501, dtype=torch.float64)
    points = torch.cartesian_prod(line, line)
    points = points[points.norm(dim=1) <= 2]
    seen = pair.compressed(points) - pair.original(points)
    assert float(seen.min()) * 1.05 <= float(drift.lower) <= float(seen.min()) < 0
    assert 0 < float(seen.max()) <= float(drift.upper) <= float(seen.max()) * 1.01


def test_tampered_multipliers_prove_nothing(
    solved: tuple[DriftFacts, Products, float, Multipliers],
) -> None:
    facts, goal, value, found = solved
    assert holds(facts.known, goal, found, value)
    assert not holds(facts.known, goal, found, value * 0.98)
    assert not holds(facts.known, goal, replace(found, products=-found.products), value)
    assert not holds(facts.known, goal, replace(found, products=found.products[1:]), value)
    assert not holds(facts.known, goal, replace(found, ball=math.nan), value)
    assert not holds(facts.known, goal, replace(found, ball=found.ball / 2), value)
    for place in found.products.argsort()[-5:]:
        more = found.products.copy()
        more[place] *= 4
        assert not holds(facts.known, goal, replace(found, products=more), value)


def test_forms_that_are_hardly_known_prove_nothing(
    solved: tuple[DriftFacts, Products, float, Multipliers],
) -> None:
    facts, goal, value, found = solved

    def vague(forms: Forms) -> Forms:
        return Forms(forms.value, forms.error + 0.01)

    first, second = facts.known.products.first, facts.known.products.second
    for products in (Products(vague(first), second), Products(first, vague(second))):
        assert not holds(replace(facts.known, products=products), goal, found, value)
    assert not holds(facts.known, Products(vague(goal.first), goal.second), found, value)


def test_fewer_products_prove_no_less(
    solved: tuple[DriftFacts, Products, float, Multipliers],
) -> None:
    """Sectors alone are a part of what is known: their optimum is no smaller."""
    facts, goal, _, _ = solved
    known = facts.known
    count = known.stages[-1].rows.stop
    keep = np.arange(known.products.count) < count
    first, second = known.products.first.rows(keep), known.products.second.rows(keep)
    fewer = replace(known, products=Products(first, second), sizes=known.sizes[keep])
    less = search(fewer, goal, 1.0, 60.0, lambda _progress: None)
    more = search(known, goal, 1.0, 60.0, lambda _progress: None)
    assert less.upper >= more.relaxation_lower * (1 - 1e-3)


def test_no_looser_than_the_constant_of_the_difference() -> None:
    """The sectors of both networks alone give |drift at the centre| + L eps."""
    graph, eps = dense(3, Relu()), 0.4
    pair = Pair.of(graph, disturbed(graph, 0.05, 5))
    region = Ball.around(normal(1, 4, seed=8), eps)
    bounds = DriftSdp().certify(pair, region, Placement())
    joint = lipschitz_search(Chain.of(pair.joined()))
    centre = float((pair.compressed(region.centre) - pair.original(region.centre)).norm())
    assert bounds.norm is not None
    assert float(bounds.norm) <= (joint.upper * eps + centre) * 1.001


def test_two_neurons_whose_bound_is_known() -> None:
    """|x| from two ReLUs beside the zero network: the drift over a ball around 0 is its radius."""
    fold = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    ends = (torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))
    f, g = (
        LayerGraph(
            (
                Node("x", None, (), (1,)),
                Node("z", Linear(fold, torch.zeros(2, dtype=torch.float64)), ("x",), (2,)),
                Node("a", Relu(), ("z",), (2,)),
                Node("y", Linear(end, torch.zeros(1, dtype=torch.float64)), ("a",), (1,)),
            )
        )
        for end in ends
    )
    region = Ball.around(torch.zeros(1, 1, dtype=torch.float64), 0.5)
    bounds = DriftSdp().certify(Pair.of(f, g), region, Placement())
    assert 0.5 <= float(bounds.drift.upper) <= 0.5 * 1.001
    assert -1e-3 <= float(bounds.drift.lower) <= 0.0


def test_elsewhere_the_twin_bounds_stand() -> None:
    graph = dense(3, Relu())
    codes = Quantize(torch.tensor(0.1), torch.tensor(-128.0), torch.tensor(127.0))
    coded = LayerGraph((*graph.nodes, Node("q", codes, (graph.output.name,), graph.output.shape)))
    centre = normal(1, 4, seed=8)
    cases = [
        (Pair.of(graph, disturbed(graph, 0.05, 5)), Box.around(centre, 0.1)),
        (Pair.of(graph, disturbed(graph, 0.05, 5)), Ball.around(centre, 0.0)),
        (Pair.of(graph, disturbed(graph, 0.05, 5), None, Semantics.FLOAT32),
         Ball.around(centre, 0.1)),
        (Pair.of(coded, disturbed(coded, 0.05, 5)), Ball.around(centre, 0.1)),
    ]  # fmt: skip
    for pair, region in cases:
        bounds = DriftSdp().certify(pair, region, Placement())
        twin = TwinBounds().certify(pair, region, Placement()).drift
        assert torch.equal(bounds.drift.lower, twin.lower)
        assert torch.equal(bounds.drift.upper, twin.upper)
        assert bounds.origin is not None
        places = torch.cat([bounds.origin.lower, bounds.origin.upper]).unique()
        assert NAME not in {bounds.origin.names[int(k)] for k in places}


def test_without_time_what_was_found_is_still_proved() -> None:
    graph = dense(3, Relu())
    pair = Pair.of(graph, disturbed(graph, 0.05, 5))
    region = Ball.around(normal(1, 4, seed=8), 0.5)
    facts = facts_of(pair, region)
    proof = search(facts.known, Products(facts.drift, facts.drift), 1.0, 0.0, lambda _: None)
    assert math.isfinite(proof.upper)
    full = DriftSdp().certify(pair, region, Placement()).norm
    assert full is not None
    assert proof.upper >= float(full) ** 2 * 0.999


def test_an_interrupted_search_proves_what_it_has() -> None:
    graph = dense(3, Relu())
    facts = facts_of(Pair.of(graph, disturbed(graph, 0.05, 5)),
                     Ball.around(normal(1, 4, seed=8), 0.5))  # fmt: skip

    def stop(_progress: object) -> None:
        raise KeyboardInterrupt

    proof = search(facts.known, Products(facts.drift, facts.drift), 1.0, 60.0, stop)
    assert proof.interrupted
    assert math.isfinite(proof.upper)


def watched(pair: Pair, region: Ball, method: DriftSdp | None = None) -> list[tuple[str, int]]:
    """Stages of a bound, and how much of it was done at each."""
    stages = list[tuple[str, int]]()

    def watch(stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        stages.append((stage, done))

    (method or DriftSdp()).certify(pair, region, Placement(), watch)
    return [found for found in stages if found[0].startswith(NAME)]


def test_it_is_told_which_input_and_between_which_numbers() -> None:
    graph = dense(3, Relu())
    stages = watched(Pair.of(graph, disturbed(graph, 0.05, 5)), Ball(normal(2, 4, seed=8), 0.5))
    assert [done for _, done in stages] == sorted(done for _, done in stages)
    for stage, _ in stages:
        which, _, sides = stage.partition(": ")
        assert which.startswith((f"{NAME} 1/2, ", f"{NAME} 2/2, "))
        least, _, most = sides.partition(" to ")
        assert math.isfinite(float(least))
        assert math.isfinite(float(most))


def test_one_interrupt_ends_the_searches_of_all_inputs() -> None:
    graph = dense(3, Relu())
    pair, stages = Pair.of(graph, disturbed(graph, 0.05, 5)), list[str]()

    def watch(stage: str, _done: int, _total: int) -> None:
        if stage.startswith(NAME):
            stages.append(stage)
            if len(stages) == 3:
                signal.raise_signal(signal.SIGINT)

    bounds = DriftSdp().certify(pair, Ball(normal(3, 4, seed=8), 0.5), Placement(), watch)
    assert [stage.split(",")[0][-3:] for stage in stages] == ["1/3"] * 3 + ["2/3", "3/3"]
    assert bounds.norm is not None
    assert bool(bounds.norm.isfinite().all())


def test_a_search_that_begins_where_another_was_ends_sooner_at_the_same_bound() -> None:
    graph = dense(3, Relu())
    facts = facts_of(Pair.of(graph, disturbed(graph, 0.05, 5)),
                     Ball(normal(1, 4, seed=8), 0.5))  # fmt: skip
    drift = facts.drift
    whole = search(facts.known, Products(drift, drift), 1.0, 60.0, lambda _: None)
    assert whole.course is not None
    for output in range(len(drift.value)):
        row = Forms(drift.value[output : output + 1], drift.error[output : output + 1])
        steps = {"cold": 0, "warm": 0}

        def bound(name: str, course: Course | None, goal: Products, steps: dict[str, int]) -> float:
            def count(_progress: object) -> None:
                steps[name] += 1

            return search(facts.known, goal, 1.0, 60.0, count, course).upper

        cold = bound("cold", None, Products(row, row), steps)
        warm = bound("warm", whole.course, Products(row, row), steps)
        assert warm == pytest.approx(cold, rel=3e-3)
        assert steps["warm"] < steps["cold"]


def test_nothing_is_searched_that_is_small_enough() -> None:
    graph = dense(3, Relu())
    facts = facts_of(Pair.of(graph, disturbed(graph, 0.05, 5)),
                     Ball(normal(1, 4, seed=8), 0.5))  # fmt: skip
    stages = set[str]()
    told = Told(lambda stage, _done, _total: stages.add(stage.partition(":")[0]))
    box = Interval(*(torch.full((1, 3), end, dtype=torch.float64) for end in (-9.0, 9.0)))
    aim = {-1: np.full(3, 9.0), 1: np.array([9.0, 0.01, 9.0])}
    Searches(facts, 60.0, told).bounds(box, aim)
    assert stages == {f"{NAME}, norm", f"{NAME}, output 1"}


def test_the_complement_is_that_of_the_matrices() -> None:
    graph = dense(3, Relu())
    facts = facts_of(Pair.of(graph, disturbed(graph, 0.05, 5)),
                     Ball(normal(1, 4, seed=8), 0.5))  # fmt: skip
    program = Scaled.of(facts.known, Products(facts.drift, facts.drift), 1.0)
    half, other = (normal(program.order, program.order, seed=k).numpy() for k in (1, 2))
    moments, inverse = half @ half.T, other @ other.T
    matrices = [program.image(unit) for unit in np.eye(program.variables)]
    wanted = np.array([[np.trace(a @ moments @ b @ inverse) for b in matrices] for a in matrices])
    assert np.tril(schur(program, moments, inverse)) == pytest.approx(np.tril(wanted), rel=1e-9)
