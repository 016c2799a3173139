"""Programs that are malformed say which row; frozen data; hints that do not fit."""

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_matrix, csr_array

from solvers import Box, Candidate, ConicProgram, Nonneg, Psd, SecondOrder, Status, Zero, bracket
from solvers.cones import Free
from solvers.errors import BadProgram, Contradiction
from solvers.library import production, smallest_eigenvalue
from solvers.transforms import scaling

CONES = (Nonneg(2), SecondOrder(3))


def program(**changed: object) -> ConicProgram:
    fields: dict[str, object] = {"c": np.ones(2), "A": np.ones((5, 2)), "b": np.ones(5),
                                 "cones": CONES}  # fmt: skip
    return ConicProgram(**(fields | changed))


def with_entry(value: float) -> np.ndarray:
    A = np.ones((5, 2))
    A[3, 1] = value
    return A


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"A": with_entry(np.nan)}, r"A\[3, 1\] is nan in row 3 \(entry 1 of cone 1, SecondOrder"),
        ({"A": csr_array(with_entry(np.inf))}, r"A\[3, 1\] is inf in row 3 \(entry 1 of cone 1"),
        ({"b": np.array([0, 0, 0, 0, -np.inf])}, r"b is -inf in row 4 \(entry 2 of cone 1, Second"),
        ({"c": np.array([0, np.nan])}, r"c\[1\] is nan, expected a number"),
        ({"cones": (Nonneg(2), SecondOrder(2))}, "cones take 4 rows and b has 5: row 4 is in no"),
        (
            {"cones": (Nonneg(2), Psd(3))},
            r"take 8 rows and b has 5: row 5 \(entry 3 of cone 1, Psd",
        ),
        ({"cones": (Nonneg(2), "Psd")}, "cone 1 is 'Psd'; expected Zero, Nonneg"),
        ({"cones": (Free(5),)}, r"cone 0 is Free\(size=5\); expected Zero"),
        (
            {"A": np.ones((4, 2))},
            r"A has shape \(4, 2\); expected \(5, 2\), the lengths of b and c",
        ),
        ({"A": np.ones(2)}, r"A has shape \(1, 2\); expected \(5, 2\)"),
        ({"A": np.ones((5, 2), complex)}, "A has shape .*complex128; expected a matrix of real"),
        ({"A": [["a", "b"]] * 5}, "A has shape .*expected a matrix of real numbers"),
        ({"b": ["x"] * 5}, "b holds what is not a real number"),
        ({"b": np.ones((5, 1))}, r"b has shape \(5, 1\).*expected one axis"),
        ({"c": np.ones(2, complex)}, "c has shape .*complex128; expected one axis of real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_malformed_programs_name_the_place(changed: dict[str, object], says: str) -> None:
    with pytest.raises(BadProgram, match=says):
        program(**changed)


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_cones_need_a_size(size: object) -> None:
    for kind in (Zero, Nonneg, SecondOrder, Psd):
        with pytest.raises(BadProgram, match=f"{kind.__name__}.*whole number of at least 1"):
            kind(size)


def test_data_are_copied_and_frozen() -> None:
    A, b = np.ones((5, 2)), np.ones(5)
    made = program(A=A, b=b)
    A[0, 0] = b[0] = 7
    assert made.A[0, 0] == made.b[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        made.b[0] = 2
    with pytest.raises(ValueError, match="read-only"):
        made.A.data[0] = 2
    with pytest.raises(AttributeError):
        made.b = b


@pytest.mark.parametrize("kind", [csc_matrix, csr_array, coo_array, np.asarray, list])
def test_any_matrix_will_do(kind: type) -> None:
    A = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(program(A=kind(A)).A.toarray(), A)
    twice = coo_array((np.ones(2), ([1, 1], [0, 0])), shape=(5, 2))
    assert program(A=twice).A[1, 0] == 2
    assert program(A=np.zeros((5, 2), int)).A.nnz == 0


def test_hints_that_do_not_fit_are_refused() -> None:
    known = production()
    candidate = Candidate(None, None, Status.FAILED)
    for name in ("interior", "direction"):
        for wrong in (np.ones(3), np.array([1, np.nan])):
            with pytest.raises(BadProgram, match=f"{name} has shape"):
                bracket(known.program, candidate, **{name: wrong})
    with pytest.raises(BadProgram, match="box has 3 variables, expected 2"):
        bracket(known.program, candidate, box=Box.of(0, 1, 3))
    with pytest.raises(BadProgram, match="variable 1 has a NaN"):
        Box(np.zeros(2), np.array([0, np.nan]))
    with pytest.raises(BadProgram, match="ends of shape"):
        Box(np.zeros(2), np.zeros(3))


def test_a_box_that_excludes_the_optimum_is_a_contradiction() -> None:
    known = production()
    exact = Candidate(np.array([2.0, 6]), np.array([0, 1.5, 1, 0, 0]), Status.OPTIMAL)
    proved = bracket(known.program, exact)
    assert proved.lower <= -36 <= proved.upper
    assert proved.gap < 1e-12
    loose = Candidate(exact.x, np.zeros(5), Status.OPTIMAL)  # c'x alone: -8 in this box
    with pytest.raises(Contradiction, match="the box given holds no optimal x"):
        bracket(known.program, loose, box=Box.of(0, [1.0, 1.0], 2))


def test_hints_repair_what_the_candidate_lacks() -> None:
    known = smallest_eigenvalue()  # -t with C - t I positive semidefinite
    wrong = Candidate(np.array([-1.0]), None, Status.OPTIMAL)  # t too large
    for hints in ({"interior": np.array([-2.0])}, {"direction": np.array([-1.0])}):
        upper = bracket(known.program, wrong, **hints).upper
        assert known.optimum <= upper <= known.optimum + 0.6


def test_scaling_is_exact_and_undone() -> None:
    rng = np.random.default_rng(0)
    A = rng.standard_normal((5, 3)) * 10.0 ** rng.integers(-6, 6, (5, 3))
    made = ConicProgram(rng.standard_normal(3) * 1e4, A, rng.standard_normal(5) * 1e-3, CONES)
    scaled = scaling.apply(made)
    assert set(np.unique(np.frexp(scaled.rows)[0])) == {0.5}
    assert set(np.unique(np.frexp(scaled.columns)[0])) == {0.5}
    sizes = np.abs(scaled.program.A.toarray()).max(axis=0)
    assert sizes.max() <= 4 * sizes.min()
    start = Candidate(rng.standard_normal(3), rng.standard_normal(5), Status.OPTIMAL)
    back = scaled.lift(scaled.lower(start))
    np.testing.assert_array_equal(back.x, start.x)
    np.testing.assert_array_equal(back.z, start.z)
    # b - A x of one is that of the other, up to the factors, without rounding
    x, z = scaled.lower(start).x, scaled.lower(start).z
    slack = scaled.program.b - scaled.program.A @ x
    factor = slack / (made.b - A @ start.x)
    np.testing.assert_allclose(factor[2:], factor[2], rtol=1e-12)
    assert (factor > 0).all()
    reduced = scaled.program.c + scaled.program.A.T @ z
    assert ((reduced / (made.c + A.T @ start.z)) > 0).all()
