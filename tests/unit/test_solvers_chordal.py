"""Decomposed programs have the same optimum, and what is lifted is proved on the whole one."""

import numpy as np
import pytest
from numpy.typing import NDArray

from solvers import ConicProgram, Nonneg, Psd, Zero, bracket, solve
from solvers.array import sparse
from solvers.transforms import chordal, inside
from solvers.transforms.cliques import clique_tree

Matrix = NDArray[np.float64]


def banded(order: int, width: int, seed: int) -> Matrix:
    rng = np.random.default_rng(seed)
    full = rng.standard_normal((order, order))
    near = np.abs(np.subtract.outer(np.arange(order), np.arange(order))) <= width
    return np.where(near, full + full.T, 0.0)


def arrow(order: int, seed: int) -> Matrix:
    matrix = np.diag(np.random.default_rng(seed).standard_normal(order))
    matrix[0] = matrix[:, 0] = 1.0
    return matrix


def cycle(order: int) -> Matrix:
    step = np.roll(np.eye(order), 1, axis=1)
    return step + step.T


def shuffled(matrix: Matrix, seed: int) -> Matrix:
    order = np.random.default_rng(seed).permutation(len(matrix))
    return matrix[np.ix_(order, order)]


PATTERNS = {
    "band": banded(14, 2, 0),
    "shuffled band": shuffled(banded(14, 2, 1), 2),
    "arrow": arrow(9, 3),
    "cycle": cycle(11),
    "two parts": np.kron(np.diag([1.0, 0.5]), banded(5, 4, 4)),
}


def smallest_eigenvalue(matrix: Matrix) -> ConicProgram:
    """Largest t with matrix - t I positive semidefinite, between rows of other cones."""
    cone = Psd(len(matrix))
    A = np.vstack([[[1.0, 0.0]], np.stack([cone.identity(), 0 * cone.identity()], 1), [[0, 1.0]]])
    b = np.concatenate([[1e3], cone.pack(matrix), [2.0]])
    return ConicProgram(np.array([-1.0, 0.0]), A, b, (Nonneg(1), cone, Zero(1)))


@pytest.mark.parametrize("name", PATTERNS)
def test_cliques_cover_the_pattern_and_intersect_in_a_row(name: str) -> None:
    matrix = PATTERNS[name]
    tree = clique_tree(len(matrix), *np.nonzero(np.tril(matrix)))
    covered = np.eye(len(matrix), dtype=bool)
    seen: list[set[int]] = []
    for clique in tree.cliques:
        covered[np.ix_(clique, clique)] = True
        earlier = set().union(*seen) & set(clique.tolist())
        assert any(earlier <= other for other in [*seen, set()])
        seen.append(set(clique.tolist()))
    assert covered[matrix != 0].all()
    assert set().union(*seen) == set(range(len(matrix)))
    assert 1 < len(tree.cliques) < len(matrix) + 1


@pytest.mark.parametrize("backend", ["clarabel", "scs"])
@pytest.mark.parametrize("name", PATTERNS)
def test_the_optimum_stays(name: str, backend: str) -> None:
    pytest.importorskip(backend)
    program = smallest_eigenvalue(PATTERNS[name])
    made = chordal.apply(program)
    assert max(c.order for c in made.program.cones if isinstance(c, Psd)) < len(PATTERNS[name])
    candidate = made.lift(solve(made.program, backend))
    smallest = float(np.linalg.eigvalsh(PATTERNS[name])[0])
    assert candidate.x is not None
    assert candidate.x == pytest.approx([smallest, 2.0], abs=1e-5)
    proved = bracket(program, candidate)
    assert proved.lower <= -smallest + 1e-13
    assert -smallest - 1e-13 <= proved.upper
    # completed, so that the whole matrix is nearly in its cone and proves the lower bound
    assert candidate.z is not None
    whole = Psd(len(PATTERNS[name])).unpack(candidate.z[1:-1])
    assert np.linalg.eigvalsh(whole)[0] >= -1e-5


@pytest.mark.parametrize("name", ["arrow", "two parts"])
def test_with_room_both_sides_are_proved(name: str) -> None:
    program = smallest_eigenvalue(PATTERNS[name])
    moved = inside.apply(program, 1e-6)
    made = chordal.apply(moved.program)
    candidate = moved.lift(made.lift(solve(made.program, "first_order")))
    assert bracket(program, candidate).gap <= 1e-4


def test_dense_blocks_and_other_cones_stay() -> None:
    rng = np.random.default_rng(0)
    program = ConicProgram(rng.random(3), rng.random((8, 3)), rng.random(8), (Nonneg(2), Psd(3)))
    made = chordal.apply(program)
    assert made.program.cones == program.cones
    assert (made.program.A != program.A).nnz == 0
    np.testing.assert_array_equal(made.program.b, program.b)
    none = chordal.apply(ConicProgram(np.ones(1), sparse(np.ones((1, 1))), np.ones(1), (Zero(1),)))
    assert none.program.variables == 1


def test_large_patterns_take_seconds_at_most() -> None:
    matrix = banded(400, 3, 0)
    tree = clique_tree(400, *np.nonzero(np.tril(matrix)))
    assert max(map(len, tree.cliques)) <= 20
