"""Any solver that cvxpy has (cvxpy itself: Apache-2.0)."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, final

from solvers.backends.base import Answer, Backend, vector
from solvers.candidate import Status
from solvers.errors import BackendAbsent, BadLimits
from solvers.limits import Limits
from solvers.modelling import dual_values, to_cvxpy
from solvers.program import ConicProgram

STATUS = {
    "optimal": Status.OPTIMAL,
    "optimal_inaccurate": Status.INACCURATE,
    "infeasible": Status.INFEASIBLE,
    "infeasible_inaccurate": Status.INFEASIBLE,
    "unbounded": Status.UNBOUNDED,
    "unbounded_inaccurate": Status.UNBOUNDED,
    "user_limit": Status.TIME_LIMIT,
}
LIMITS: Mapping[str, tuple[str, str]] = {  # names for seconds and for iterations
    "CLARABEL": ("time_limit", "max_iter"),
    "HIGHS": ("time_limit", "simplex_iteration_limit"),
    "OSQP": ("time_limit", "max_iter"),
    "SCS": ("time_limit_secs", "max_iters"),
}


@final
@dataclass(frozen=True, slots=True)
class Cvxpy(Backend):
    """A solver by cvxpy's name for it, such as "HIGHS"; None lets cvxpy choose.

    With limits, None is the first solver of `LIMITS` that is here.

    Through cvxpy a program is compiled anew, which costs time and warm starts: the other backends
    are direct. cvxpy brings solvers that have no backend of their own.
    """

    package: ClassVar[str | None] = "cvxpy"
    install: ClassVar[str] = "pip install cvxpy"
    accuracy: ClassVar[float] = 1e-6

    solver: str | None = None

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """Cold."""
        cvxpy = import_module("cvxpy")
        solver = self._chosen(cvxpy.installed_solvers(), limits)
        problem = to_cvxpy(program)
        options = _options(solver, limits)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "may be inaccurate": a status says so
                problem.solve(solver=solver, verbose=limits.verbose, **options)
        except cvxpy.error.SolverError as error:
            return Answer(None, None, Status.FAILED, str(error).strip())
        said = str(problem.status)
        x, z = vector(problem.variables()[0].value), dual_values(problem, program)
        counted = said == "user_limit" and limits.seconds is None
        status = Status.ITERATION_LIMIT if counted else STATUS.get(said, Status.FAILED)
        return Answer(x, z, status, said)

    def _chosen(self, installed: list[str], limits: Limits) -> str | None:
        """The solver that is named, or of those here one whose limits are known; or any."""
        if self.solver is not None and self.solver not in installed:
            raise BackendAbsent(
                f"Cvxpy: there is no solver {self.solver!r} here; cvxpy has {', '.join(installed)}"
            )
        if self.solver is None and any(_asked(limits)):
            return next((name for name in LIMITS if name in installed), None)
        return self.solver


def _asked(limits: Limits) -> tuple[float | None, int | None]:
    return limits.seconds, limits.iterations


def _options(solver: str | None, limits: Limits) -> dict[str, Any]:
    """Limits by the solver's own names."""
    asked = _asked(limits)
    if not any(asked):
        return {}
    names = LIMITS.get(solver or "")
    if names is None:
        raise BadLimits(
            f"Cvxpy: limits need a solver out of {', '.join(LIMITS)}, got {solver!r}; "
            "name one, as in Cvxpy(solver='SCS')"
        )
    return {name: value for name, value in zip(names, asked, strict=True) if value is not None}
