"""MOSEK: a commercial interior-point method; needs a licence of the user's own."""

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, final

import numpy as np

from solvers.backends.base import Answer, Backend
from solvers.candidate import Status
from solvers.cones import Cone, Nonneg, Psd, SecondOrder
from solvers.limits import Limits
from solvers.program import ConicProgram

STATUS = {
    "optimal": Status.OPTIMAL,
    "prim_infeas_cer": Status.INFEASIBLE,
    "dual_infeas_cer": Status.UNBOUNDED,
    "unknown": Status.INACCURATE,
}
ENDED = {
    "trm_max_time": Status.TIME_LIMIT,
    "trm_max_iterations": Status.ITERATION_LIMIT,
    "trm_user_callback": Status.INTERRUPTED,
}


@final
@dataclass(frozen=True, slots=True)
class Mosek(Backend):
    """Cold; available only where a licence is found."""

    package: ClassVar[str | None] = "mosek"
    install: ClassVar[str] = "pip install mosek"
    accuracy: ClassVar[float] = 1e-6

    def absent(self) -> str | None:
        """Also where no licence can be checked out."""
        reason = Backend.absent(self)
        if reason is not None:
            return f"{reason} (MOSEK also needs a licence of yours)"
        mosek = import_module("mosek")
        try:
            with mosek.Env() as env:
                env.checkoutlicense(mosek.feature.pts)
        except mosek.Error as error:
            return (
                f"MOSEK is installed and has no licence ({_name(error.errno)}); put your file at "
                "~/mosek/mosek.lic or name it in MOSEKLM_LICENSE_FILE"
            )
        return None

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """Rows become affine conic constraints; MOSEK packs matrices as we do."""
        mosek = import_module("mosek")
        with mosek.Env() as env, env.Task() as task:
            fill(mosek, task, program)
            _limit(mosek, task, limits)
            ended = _name(task.optimize())
            kind = mosek.soltype.itr
            if not task.solutiondef(kind):
                return Answer(None, None, ENDED.get(ended, Status.FAILED), ended)
            said = _name(task.getsolsta(kind))
            x, z = np.array(task.getxx(kind)), np.array(task.getaccdotys(kind))
            return Answer(x, z, ENDED.get(ended, STATUS.get(said, Status.FAILED)), said)


def fill(mosek: Any, task: Any, program: ConicProgram) -> None:
    """Minimise c'x with b - A x in the cones, x free."""
    count, rows = program.variables, program.rows
    task.appendvars(count)
    task.putvarboundsliceconst(0, count, mosek.boundkey.fr, -np.inf, np.inf)
    task.putclist(np.arange(count, dtype=np.int32), program.c)
    task.putobjsense(mosek.objsense.minimize)
    task.appendafes(rows)
    entries = program.A.tocoo()
    row, column = entries.coords
    task.putafefentrylist(row.astype(np.int64), column.astype(np.int32), -entries.data)
    task.putafeglist(np.arange(rows), program.b)
    for cone, part in program.blocks():
        domain = _domain(task, cone)
        task.appendaccseq(domain, part.start, np.zeros(cone.rows))


def _domain(task: Any, cone: Cone) -> Any:
    if isinstance(cone, Psd):
        return task.appendsvecpsdconedomain(cone.rows)
    if isinstance(cone, SecondOrder):
        return task.appendquadraticconedomain(cone.rows)
    if isinstance(cone, Nonneg):
        return task.appendrplusdomain(cone.rows)
    return task.appendrzerodomain(cone.rows)


def _limit(mosek: Any, task: Any, limits: Limits) -> None:
    if limits.verbose:
        task.set_Stream(mosek.streamtype.log, sys.stdout.write)
    if limits.seconds is not None:
        task.putdouparam(mosek.dparam.optimizer_max_time, limits.seconds)
    if limits.iterations is not None:
        task.putintparam(mosek.iparam.intpnt_max_iterations, limits.iterations)


def _name(code: Any) -> str:
    """The last part of a name such as rescode.err_missing_license_file."""
    return str(code).rpartition(".")[2]
