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
        self._check(cvxpy.installed_solvers())
        problem = to_cvxpy(program)
        options = self._options(limits)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "may be inaccurate": a status says so
                problem.solve(solver=self.solver, verbose=limits.verbose, **options)
        except cvxpy.error.SolverError as error:
            return Answer(None, None, Status.FAILED, str(error).strip())
        said = str(problem.status)
        x, z = vector(problem.variables()[0].value), dual_values(problem, program)
        return Answer(x, z, STATUS.get(said, Status.FAILED), said)

    def _check(self, installed: list[str]) -> None:
        if self.solver is not None and self.solver not in installed:
            raise BackendAbsent(
                f"Cvxpy: there is no solver {self.solver!r} here; cvxpy has {', '.join(installed)}"
            )

    def _options(self, limits: Limits) -> dict[str, Any]:
        """Limits by the solver's own names."""
        asked = {"seconds": limits.seconds, "iterations": limits.iterations}
        if not any(asked.values()):
            return {}
        names = LIMITS.get(self.solver or "")
        if names is None:
            raise BadLimits(
                f"Cvxpy: limits need a solver out of {', '.join(LIMITS)}, got {self.solver!r}; "
                "name one, as in Cvxpy(solver='SCS')"
            )
        values = zip(names, asked.values(), strict=True)
        return {name: value for name, value in values if value is not None}
