"""Clarabel: an interior-point method (Apache-2.0)."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, final

import numpy as np
from scipy.sparse import csc_matrix

from solvers.array import Places
from solvers.backends.base import Answer, Backend, vector
from solvers.candidate import Status
from solvers.cones import Cone, Nonneg, Psd, SecondOrder
from solvers.limits import Limits
from solvers.program import ConicProgram

STATUS = {
    "Solved": Status.OPTIMAL,
    "AlmostSolved": Status.INACCURATE,
    "PrimalInfeasible": Status.INFEASIBLE,
    "AlmostPrimalInfeasible": Status.INFEASIBLE,
    "DualInfeasible": Status.UNBOUNDED,
    "AlmostDualInfeasible": Status.UNBOUNDED,
    "MaxIterations": Status.ITERATION_LIMIT,
    "MaxTime": Status.TIME_LIMIT,
    "CallbackTerminated": Status.INTERRUPTED,
}


@final
@dataclass(frozen=True, slots=True)
class Clarabel(Backend):
    """Accurate on small and middling programs; positive semidefinite blocks up to some hundreds."""

    package: ClassVar[str | None] = "clarabel"
    install: ClassVar[str] = "pip install clarabel"
    accuracy: ClassVar[float] = 1e-6

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """Cold: interior-point methods do not gain by a start."""
        clarabel = import_module("clarabel")
        order = _order(program)
        nothing = csc_matrix((program.variables, program.variables))
        solver = clarabel.DefaultSolver(
            nothing,
            program.c.copy(),
            csc_matrix(program.A[order]),
            program.b[order],
            [_cone(clarabel, cone) for cone in program.cones],
            _settings(clarabel, limits),
        )
        solution = solver.solve()
        z = np.empty(program.rows)
        z[order] = solution.z
        said = str(solution.status)
        return Answer(vector(solution.x), z, STATUS.get(said, Status.FAILED), said)


def _settings(clarabel: Any, limits: Limits) -> Any:
    settings = clarabel.DefaultSettings()
    settings.verbose = limits.verbose
    if limits.seconds is not None:
        settings.time_limit = limits.seconds
    if limits.iterations is not None:
        settings.max_iter = limits.iterations
    return settings


def _cone(clarabel: Any, cone: Cone) -> Any:
    if isinstance(cone, Psd):
        return clarabel.PSDTriangleConeT(cone.order)
    if isinstance(cone, SecondOrder):
        return clarabel.SecondOrderConeT(cone.rows)
    kind = clarabel.NonnegativeConeT if isinstance(cone, Nonneg) else clarabel.ZeroConeT
    return kind(cone.rows)


def _order(program: ConicProgram) -> Places:
    """Rows as Clarabel wants them: it packs the upper triangle column by column."""
    order = np.arange(program.rows)
    for cone, rows in program.blocks():
        if isinstance(cone, Psd):
            row, column = cone.places()
            order[rows] = rows.start + np.lexsort((column, row))
    return order
