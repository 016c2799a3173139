"""SCS: operator splitting (MIT)."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, final

import numpy as np
from scipy.sparse import csc_matrix

from solvers.array import Places, Vector
from solvers.backends.base import Answer, Backend, vector
from solvers.candidate import Candidate, Status
from solvers.cones import Cone, Nonneg, Psd, SecondOrder, Zero
from solvers.limits import Limits
from solvers.program import ConicProgram

TOLERANCE = 1e-9
KINDS: tuple[type[Cone], ...] = (Zero, Nonneg, SecondOrder, Psd)  # in the order that SCS wants
STATUS = {
    1: Status.OPTIMAL,
    2: Status.INACCURATE,
    -1: Status.UNBOUNDED,
    -2: Status.INFEASIBLE,
    -5: Status.INTERRUPTED,
    -6: Status.INACCURATE,
    -7: Status.INACCURATE,
}


@final
@dataclass(frozen=True, slots=True)
class Scs(Backend):
    """First order: low accuracy soon, high accuracy late; starts from a candidate if given one."""

    package: ClassVar[str | None] = "scs"
    install: ClassVar[str] = "pip install scs"
    accuracy: ClassVar[float] = 1e-4

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """Warm where the limits bring a candidate."""
        scs = import_module("scs")
        order = _order(program)
        data = {"A": csc_matrix(program.A[order]), "b": program.b[order], "c": program.c.copy()}
        solver = scs.SCS(data, _cones(program), **_settings(limits))
        found = solver.solve(**_start(limits.warm, program, order))
        z = np.empty(program.rows)
        z[order] = found["y"]
        return Answer(vector(found["x"]), z, *_status(found["info"]))


def _settings(limits: Limits) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "verbose": limits.verbose, "eps_abs": TOLERANCE, "eps_rel": TOLERANCE,
    }  # fmt: skip
    if limits.seconds is not None:
        settings["time_limit_secs"] = limits.seconds
    if limits.iterations is not None:
        settings["max_iters"] = limits.iterations
    return settings


def _status(info: Any) -> tuple[Status, str]:
    """Its limits are told by its words alone."""
    said = str(info["status"])
    if "time_limit" in said:
        return Status.TIME_LIMIT, said
    if "max_iters" in said:
        return Status.ITERATION_LIMIT, said
    return STATUS.get(int(info["status_val"]), Status.FAILED), said


def _order(program: ConicProgram) -> Places:
    """Rows by kind of cone."""
    every = np.arange(program.rows)
    return np.concatenate(
        [every[:0], *(every[rows] for kind in KINDS for rows in _rows(program, kind))]
    )


def _rows(program: ConicProgram, kind: type[Cone]) -> list[slice]:
    return [rows for cone, rows in program.blocks() if isinstance(cone, kind)]


def _cones(program: ConicProgram) -> dict[str, Any]:
    return {
        "z": int(program.of_kind(Zero).sum()),
        "l": int(program.of_kind(Nonneg).sum()),
        "q": [cone.rows for cone in program.cones if isinstance(cone, SecondOrder)],
        "s": [cone.order for cone in program.cones if isinstance(cone, Psd)],
    }


def _start(warm: Candidate | None, program: ConicProgram, order: Places) -> dict[str, Any]:
    if warm is None or warm.x is None or warm.z is None:
        return {"warm_start": False}
    slack: Vector = program.b - program.A @ warm.x
    return {"warm_start": True, "x": warm.x, "y": warm.z[order], "s": slack[order]}
