"""From cvxpy and to it: the same optimum, in the problem's own sense, and values that go back."""

import cvxpy
import numpy as np
import pytest

from solvers import ConicProgram, Nonneg, Psd, SecondOrder, Zero, bracket, solve
from solvers.candidate import Candidate, Status
from solvers.errors import BackendAbsent, BadModel
from solvers.library import LIBRARY
from solvers.modelling import from_cvxpy, to_cvxpy


def linear() -> cvxpy.Problem:
    x = cvxpy.Variable(3)
    rows = np.array([[1.0, 2, 1], [2, 1, 3]])
    return cvxpy.Problem(cvxpy.Maximize(x @ np.array([1.0, 2, 3]) + 7), [rows @ x <= 4, x >= 0])


def mixed() -> cvxpy.Problem:
    x, X = cvxpy.Variable(2), cvxpy.Variable((3, 3), symmetric=True)
    limits = [x <= 1, cvxpy.norm(x) <= 1.2, X >> 0, cvxpy.trace(X) == 1, X[0, 2] >= 0.1]
    return cvxpy.Problem(cvxpy.Maximize(x[0] - 3 * X[0, 1] + X[1, 2] + 7), limits)


def semidefinite() -> cvxpy.Problem:
    X = cvxpy.Variable((4, 4), PSD=True)
    C = np.arange(16.0).reshape(4, 4)
    limits = [cvxpy.diag(X) == np.array([1, 2, 3, 4])]
    return cvxpy.Problem(cvxpy.Minimize(cvxpy.trace((C + C.T) @ X) - 5), limits)


@pytest.mark.parametrize("make", [linear, mixed, semidefinite])
def test_problems_are_bracketed_in_their_own_sense(make: object) -> None:
    problem = make()
    expected = problem.solve(solver="CLARABEL")
    modelled = from_cvxpy(problem)
    proved = modelled.bracket(bracket(modelled.program, solve(modelled.program, "clarabel")))
    size = 1e-5 * (1 + abs(expected))
    assert proved.lower <= expected + size
    assert expected - size <= proved.upper
    assert proved.gap <= size


@pytest.mark.parametrize("make", [linear, mixed, semidefinite])
def test_there_and_back(make: object) -> None:
    """cvxpy -> program -> cvxpy -> program: one optimum."""
    problem = make()
    expected = problem.solve(solver="CLARABEL")
    modelled = from_cvxpy(problem)
    again = to_cvxpy(modelled.program)
    value = again.solve(solver="CLARABEL") + modelled.offset
    assert (-value if modelled.maximise else value) == pytest.approx(expected, rel=1e-6)
    once_more = from_cvxpy(again)
    proved = once_more.bracket(bracket(once_more.program, solve(once_more.program, "clarabel")))
    assert proved.lower + modelled.offset == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("make", [linear, mixed, semidefinite])
def test_values_go_to_the_problems_variables(make: object) -> None:
    problem = make()
    problem.solve(solver="CLARABEL")
    expected = [v.value for v in problem.variables()]
    duals = [c.dual_value for c in problem.constraints]
    value = problem.value
    modelled = from_cvxpy(problem)
    for variable in problem.variables():
        variable.save_value(None)
    modelled.assign(solve(modelled.program, "clarabel"))
    assert problem.value == pytest.approx(value, rel=1e-6)
    for variable, one in zip(problem.variables(), expected, strict=True):
        np.testing.assert_allclose(variable.value, one, atol=1e-4)
    for constraint, one in zip(problem.constraints, duals, strict=True):
        np.testing.assert_allclose(constraint.dual_value, one, atol=1e-3)
    with pytest.raises(BadModel, match="infeasible"):
        modelled.assign(Candidate(None, None, Status.INFEASIBLE))


@pytest.mark.parametrize("name", [n for n in LIBRARY if n != "infeasible"])
def test_programs_of_the_library_as_problems(name: str) -> None:
    known = LIBRARY[name]()
    value = to_cvxpy(known.program).solve(solver="CLARABEL")
    assert value == pytest.approx(known.optimum, rel=1e-6)


def test_cones_in_any_order_keep_their_rows() -> None:
    """A packed matrix with all entries different, after and before other cones."""
    C = np.array([[4.0, 1, 0.5], [1, 3, -0.25], [0.5, -0.25, 2]])
    cone = Psd(3)
    A = np.vstack([cone.identity()[:, None], [[1.0]], np.zeros((3, 1)), [[0.0]]])
    b = np.concatenate([cone.pack(C), [10.0], [5.0, 3, 4], [0.0]])
    program = ConicProgram(np.array([-1.0]), A, b, (cone, Nonneg(1), SecondOrder(3), Zero(1)))
    smallest = float(np.linalg.eigvalsh(C)[0])
    for backend in ("clarabel", "scs", "first_order", "cvxpy"):
        found = solve(program, backend)
        assert found.x is not None
        assert found.x[0] == pytest.approx(smallest, abs=1e-5)
        assert found.z is not None
        dual = cone.unpack(found.z[:6])  # the projector on the eigenvector
        vector = np.linalg.eigh(C)[1][:, 0]
        np.testing.assert_allclose(dual, np.outer(vector, vector), atol=1e-3)


def test_what_is_not_conic_is_refused() -> None:
    x = cvxpy.Variable(2)
    for problem, says in (
        (cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(cvxpy.exp(x)))), "exponential or power cones"),
        (cvxpy.Problem(cvxpy.Minimize(cvxpy.sqrt(x[0]))), "DCP"),
        (
            cvxpy.Problem(cvxpy.Minimize(x[0]), [x >= cvxpy.Parameter(2)]),
            "parameters .* have no value",
        ),
        (cvxpy.Problem(cvxpy.Minimize(cvxpy.Variable(integer=True))), "integer"),
    ):
        with pytest.raises(BadModel, match=f"from_cvxpy: (.|\n)*{says}"):
            from_cvxpy(problem)


def test_a_quadratic_cost_becomes_a_cone() -> None:
    x = cvxpy.Variable(2)
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(x - 1)), [cvxpy.sum(x) == 1])
    modelled = from_cvxpy(problem)
    proved = modelled.bracket(bracket(modelled.program, solve(modelled.program, "clarabel")))
    assert proved.lower <= 0.5 <= proved.upper
    assert proved.gap < 1e-5


def test_without_cvxpy_the_install_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("solvers.modelling.find_spec", lambda _: None)
    with pytest.raises(BackendAbsent, match="run: pip install cvxpy"):
        to_cvxpy(LIBRARY["theta"]().program)
