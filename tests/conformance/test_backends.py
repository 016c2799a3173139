"""One suite over all backends that the folder has and the library of known programs."""

import os

import numpy as np
import pytest

from solvers import Candidate, ConicProgram, Limits, Nonneg, Status, bracket, prove, solve
from solvers.backends import scan
from solvers.backends.base import Answer, Backend
from solvers.backends.cvxpy import Cvxpy
from solvers.errors import BackendAbsent, BadLimits, SolverError
from solvers.library import LIBRARY, Known, theta, transport

REQUIRED = ("clarabel", "cvxpy", "first_order", "scs")
ROUNDED = 1e-14  # relative: how far a program's stored numbers may move its optimum


@pytest.fixture(params=sorted(scan()))
def backend(request: pytest.FixtureRequest) -> str:
    """Each in turn; those that are not here are skipped, in CI only those that nobody must have."""
    name = str(request.param)
    reason = scan()[name]().absent()
    if reason is None:
        return name
    if name in REQUIRED and os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (never skipped in CI)")
    pytest.skip(reason)


@pytest.mark.parametrize("name", LIBRARY)
def test_known_optimum_is_found_and_bracketed(backend: str, name: str) -> None:
    known = LIBRARY[name]()
    candidate = solve(known.program, backend)
    proved = bracket(known.program, candidate)
    inside(known, proved.lower, proved.upper)
    if not known.feasible:
        assert candidate.status is Status.INFEASIBLE
        assert proved.infeasible
        return
    size = scan()[backend].accuracy * (1 + abs(known.optimum))
    assert candidate.status is Status.OPTIMAL
    assert candidate.x is not None
    assert abs(float(known.program.c @ candidate.x) - known.optimum) <= size
    assert proved.gap <= size
    assert candidate.backend == backend


@pytest.mark.parametrize("name", LIBRARY)
def test_both_sides_are_proved_in_the_end(backend: str, name: str) -> None:
    known = LIBRARY[name]()
    proved, candidate = prove(known.program, backend)
    inside(known, proved.lower, proved.upper)
    assert candidate.backend == backend
    assert proved.infeasible is not known.feasible
    assert not known.feasible or proved.gap <= 1e-3


def inside(known: Known, lower: float, upper: float) -> None:
    """Exactly, but for what storing the program rounds."""
    slack = 0.0 if known.exact else ROUNDED * (1 + abs(known.optimum))
    assert lower <= known.optimum + slack
    assert known.optimum - slack <= upper


@pytest.mark.parametrize("limits", [Limits(iterations=1), Limits(seconds=1e-9)])
def test_limits_end_in_a_status(backend: str, limits: Limits) -> None:
    chosen = Cvxpy(solver="SCS") if backend == "cvxpy" else backend
    known = theta(7)
    candidate = solve(known.program, chosen, limits)
    asked = Status.ITERATION_LIMIT if limits.iterations else Status.TIME_LIMIT
    assert candidate.status in {asked, Status.INACCURATE, Status.TIME_LIMIT}
    proved = bracket(known.program, candidate)
    inside(known, proved.lower, proved.upper)


def test_an_unbounded_program_is_a_status(backend: str) -> None:
    program = ConicProgram(np.array([-1.0, 0]), -np.eye(2), np.zeros(2), (Nonneg(2),))
    candidate = solve(program, backend)
    assert candidate.status is Status.UNBOUNDED
    assert bracket(program, candidate).lower == -np.inf


def test_programs_that_make_backends_fail_are_a_status(backend: str) -> None:
    """Numbers at the ends of the range, and a program without rows."""
    wild = np.array([[1e300, 1e-300], [-1e308, 1.0]])
    for program in (
        ConicProgram(np.array([1e300, -1e300]), wild, np.array([1e308, 0]), (Nonneg(2),)),
        ConicProgram(np.zeros(1), np.zeros((0, 1)), np.zeros(0), ()),
    ):
        candidate = solve(program, backend)
        assert isinstance(candidate, Candidate)
        proved = bracket(program, candidate)
        assert proved.lower <= proved.upper


def test_a_warm_start_saves_iterations() -> None:
    program = theta().program
    for backend in ("scs", "first_order"):
        cold = solve(program, backend)
        few = Limits(iterations=25)
        assert solve(program, backend, few).status is Status.ITERATION_LIMIT
        warm = solve(program, backend, Limits(iterations=25, warm=cold))
        assert warm.status is Status.OPTIMAL


class Panic(BaseException):
    """What a native panic looks like: not an Exception."""


class Fake(Backend):
    """Raises what it is told to."""

    package, install, accuracy = None, "", 1.0

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("bad"), MemoryError(), Panic("native")])
def test_errors_inside_a_backend_are_a_status(error: BaseException) -> None:
    candidate = solve(theta().program, Fake(error))
    assert candidate.status is Status.FAILED
    assert candidate.x is None
    assert type(error).__name__ in candidate.message
    assert bracket(theta().program, candidate).upper == np.inf


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        solve(theta().program, Fake(KeyboardInterrupt()))


def test_what_is_not_here_is_named_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendAbsent, match=r"no backend 'gurobi'; known: .*first_order"):
        solve(theta().program, "gurobi")
    monkeypatch.setattr("solvers.backends.base.find_spec", lambda _: None)
    absent = "package clarabel is not installed; run: pip install clarabel; can run here: first_"
    with pytest.raises(BackendAbsent, match=absent):
        solve(theta().program, "clarabel")
    with pytest.raises(BackendAbsent, match="run: pip install mosek"):
        solve(theta().program, "mosek")


def test_cvxpy_runs_solvers_by_name() -> None:
    known = transport()
    candidate = solve(known.program, Cvxpy(solver="HIGHS"), Limits(seconds=60))
    proved = bracket(known.program, candidate)
    assert candidate.status is Status.OPTIMAL
    assert proved.lower <= 8.0 <= proved.upper
    assert proved.gap < 1e-9
    with pytest.raises(BackendAbsent, match=r"no solver 'NONE' here; cvxpy has .*SCS"):
        solve(known.program, Cvxpy(solver="NONE"))
    with pytest.raises(BadLimits, match="limits need a solver out of"):
        solve(known.program, Cvxpy(solver="SCIPY"), Limits(seconds=1))


def test_cvxpy_keeps_to_limits_without_a_solver_by_name() -> None:
    known = theta(9)
    found = solve(known.program, "cvxpy", Limits(seconds=60, iterations=100))
    proved = bracket(known.program, found)
    assert found.status is Status.OPTIMAL
    assert proved.lower <= known.optimum <= proved.upper
    assert solve(known.program, "cvxpy", Limits(iterations=2)).status is Status.ITERATION_LIMIT


def test_limits_without_sense_are_refused() -> None:
    for wrong in ({"seconds": 0.0}, {"seconds": float("nan")}, {"iterations": 0}):
        with pytest.raises(SolverError, match="Limits: "):
            Limits(**wrong)
