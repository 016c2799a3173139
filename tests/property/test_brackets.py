"""Brackets contain the optimum, whatever the candidate: zero tolerance.

Programs are made backwards from complementary solutions in small whole numbers, so that b, c and
the optimum c'x are exact.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from solvers import Box, Candidate, ConicProgram, Status, bracket, solve
from solvers.backends.base import Answer, Backend
from solvers.cones import Cone, Nonneg, Psd, SecondOrder, Zero
from solvers.library import infeasible
from solvers.limits import Limits

Vector = NDArray[np.float64]
KINDS = ("LP", "SOCP", "SDP", "mixed")
CONES = {
    "LP": (Nonneg(4), Zero(1), Nonneg(2)),
    "SOCP": (SecondOrder(4), Nonneg(2), SecondOrder(3), SecondOrder(1)),
    "SDP": (Psd(4), Psd(1), Psd(3)),
    "mixed": (Psd(3), Nonneg(3), Zero(2), SecondOrder(4), Psd(2)),
}


def whole(rng: np.random.Generator, size: int, most: int = 4) -> Vector:
    return rng.integers(-most, most + 1, size).astype(float)


def complementary(cone: Cone, rng: np.random.Generator) -> tuple[Vector, Vector]:
    """Members of the cone and of its dual whose inner product is exactly zero."""
    size = cone.rows
    if isinstance(cone, Zero):
        return np.zeros(size), whole(rng, size)
    if isinstance(cone, Nonneg):
        active = rng.random(size) < 0.5
        value = rng.integers(1, 5, size).astype(float)
        return np.where(active, 0.0, value), np.where(active, value, 0.0)
    if isinstance(cone, SecondOrder):
        axis = np.eye(1, size)[0]
        edge = np.resize(np.array([5.0, 3, 4]), 3)
        if size < 3 or rng.random() < 0.3:
            return (axis, 0 * axis) if rng.random() < 0.5 else (0 * axis, axis)
        s, z = np.zeros(size), np.zeros(size)
        s[:3], z[:3] = edge, edge * [1, -1, -1]
        return s * rng.integers(1, 3), z * rng.integers(1, 3)
    assert isinstance(cone, Psd)
    row, column = cone.places()
    low = rng.permutation(cone.order) < rng.integers(0, cone.order + 1)
    return tuple(dominant(cone, keep[row] & keep[column], rng) for keep in (low, ~low))


def dominant(cone: Psd, block: NDArray[np.bool_], rng: np.random.Generator) -> Vector:
    """A packed matrix with whole entries in a block, diagonally dominant, zero elsewhere."""
    row, column = cone.places()
    packed = np.where(block & (row != column), whole(rng, cone.rows, 2), 0.0)
    sums = np.bincount(row, abs(packed), cone.order) + np.bincount(column, abs(packed), cone.order)
    return np.where(block & (row == column), sums[row] + 1, packed)


def program_of(kind: str, seed: int) -> tuple[ConicProgram, Candidate, float]:
    """A program, its exact solution and its exact optimum."""
    rng = np.random.default_rng(seed)
    cones = CONES[kind]
    pairs = [complementary(cone, rng) for cone in cones]
    s, z = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    variables = int(rng.integers(1, 7))
    A = np.where(rng.random((s.size, variables)) < 0.6, rng.integers(-3, 4, (s.size, variables)), 0)
    x = whole(rng, variables)
    program = ConicProgram(-(A.T @ z), A, A @ x + s, cones)
    return program, Candidate(x, z, Status.OPTIMAL), float(program.c @ x)


def contains(program: ConicProgram, candidate: Candidate, optimum: float, **hints: object) -> bool:
    proved = bracket(program, candidate, **hints)
    assert proved.lower <= optimum <= proved.upper, (proved, optimum)
    return proved.gap < np.inf


SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25)
@given(seed=SEEDS, noise=st.sampled_from([0.0, 1e-16, 1e-12, 1e-8, 1e-3, 1.0]))
def test_solutions_and_their_neighbours(kind: str, seed: int, noise: float) -> None:
    program, exact, optimum = program_of(kind, seed)
    rng = np.random.default_rng(seed + 1)
    x, z = (v + noise * rng.standard_normal(v.size) for v in (exact.x, exact.z))
    candidate = Candidate(x, z, Status.OPTIMAL)
    contains(program, candidate, optimum)
    box = Box(exact.x - rng.integers(0, 3, x.size), exact.x + rng.integers(0, 3, x.size))
    assert bracket(program, candidate, box=box).lower > -np.inf
    contains(program, candidate, optimum, box=box)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_hints_that_may_be_wrong(kind: str, seed: int) -> None:
    program, exact, optimum = program_of(kind, seed)
    rng = np.random.default_rng(seed)
    point, direction = rng.standard_normal((2, program.variables)) * 10
    contains(program, exact, optimum, interior=exact.x + point, direction=direction)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6)
@given(seed=SEEDS)
def test_what_solvers_find(kind: str, seed: int) -> None:
    program, _, optimum = program_of(kind, seed)
    for backend in ("clarabel", "scs", "first_order"):
        contains(program, solve(program, backend, Limits(iterations=2000)), optimum)


@settings(max_examples=25)
@given(seed=SEEDS)
def test_programs_with_an_interior_are_bracketed_closely(seed: int) -> None:
    """Smallest c'x with |x| <= 1 entry by entry and C + x_i B_i >= -9 I: both sides have one."""
    rng = np.random.default_rng(seed)
    cone, variables = Psd(4), 3
    A = np.vstack([np.eye(variables), -np.eye(variables), whole(rng, 30).reshape(10, 3)])
    b = np.concatenate([np.ones(6), whole(rng, 10) + 9 * cone.identity()])
    program = ConicProgram(whole(rng, variables) + 0.5, A, b, (Nonneg(6), cone))
    proved = bracket(program, solve(program, "clarabel"))
    assert proved.gap <= 1e-6 * (1 + abs(proved.upper))


NUMBERS = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf")])
)


def arrays(size: int) -> st.SearchStrategy[object]:
    """Vectors of any length, most of them the right one; or no numbers at all."""
    right = st.lists(NUMBERS, min_size=size, max_size=size).map(np.array)
    wrong = st.lists(NUMBERS, max_size=2 * size).map(np.array)
    odd = [np.array(["x"] * size), np.zeros(size, complex), np.array([None] * size)]
    odd += [None, np.zeros((size, 1)), np.ones(size, bool), 3.0]
    return st.one_of(right, right, wrong, st.sampled_from(odd))


class Garbage(Backend):
    """Answers what it is told to."""

    package, install, accuracy = None, "", 1.0

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        return self.answer


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data(), seed=st.integers(0, 30), status=st.sampled_from(Status))
def test_garbage_is_never_a_false_bracket(
    kind: str, data: st.DataObject, seed: int, status: Status
) -> None:
    program, _, optimum = program_of(kind, seed)
    x, z = (data.draw(arrays(size)) for size in (program.variables, program.rows))
    candidate = solve(program, Garbage(Answer(x, z, status)))
    contains(program, candidate, optimum)
    rng = np.random.default_rng(seed)
    point, direction = rng.standard_normal((2, program.variables)) * 10.0 ** rng.integers(-3, 300)
    contains(program, candidate, optimum, interior=point, direction=direction)


@settings(max_examples=30)
@given(x=arrays(2), z=arrays(3), status=st.sampled_from(Status))
@example(x=np.ones(2), z=np.ones(3), status=Status.OPTIMAL)
def test_garbage_never_makes_an_infeasible_program_feasible(
    x: object, z: object, status: Status
) -> None:
    program = infeasible().program
    assert bracket(program, Candidate(x, z, status)).upper == np.inf


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), z=st.lists(NUMBERS, min_size=2, max_size=2))
@example(seed=0, z=[0.0, 0.0])  # no entry may move: once taken for an exact solution
def test_an_unbounded_program_has_no_lower_bound(seed: int, z: list[float]) -> None:
    program = ConicProgram(np.array([-1.0, 0]), -np.eye(2), np.zeros(2), (Nonneg(2),))
    x = np.random.default_rng(seed).random(2)
    assert bracket(program, Candidate(x, np.array(z), Status.OPTIMAL)).lower == -np.inf
