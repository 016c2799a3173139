"""Solving a program by any backend that is here; whatever happens inside is a status."""

import logging
import time
from collections.abc import Sequence

from solvers.backends import scan
from solvers.backends.base import Answer, Backend
from solvers.candidate import Candidate, Status
from solvers.errors import BackendAbsent, SolverError
from solvers.limits import Limits
from solvers.program import ConicProgram

LOG = logging.getLogger(__name__)


def available() -> Sequence[str]:
    """Names of the backends that can run here."""
    return [name for name, kind in scan().items() if kind().absent() is None]


def solve(
    program: ConicProgram, backend: str | Backend = "clarabel", limits: Limits | None = None
) -> Candidate:
    """What a backend claims of a program; `solvers.bracket` proves what is true of it.

    Args:
        program: what to solve.
        backend: a name, or a backend with options, such as `Cvxpy(solver="HIGHS")`.
        limits: on time, iterations and output, and where to start.

    Returns:
        A candidate, whatever happens inside the backend: failures are a status with a message.

    Raises:
        BackendAbsent: if the backend is not installed, has no licence or is not known.
        BadLimits: if the backend cannot keep one of the limits.
    """
    name, chosen = _chosen(backend)
    reason = chosen.absent()
    if reason is not None:
        raise BackendAbsent(f"solve: {reason}; can run here: {', '.join(available())}")
    start = time.perf_counter()
    answer = _guarded(chosen, program, limits or Limits())
    seconds = time.perf_counter() - start
    return Candidate(answer.x, answer.z, answer.status, seconds, name, answer.message)


def _chosen(backend: str | Backend) -> tuple[str, Backend]:
    if isinstance(backend, Backend):
        return type(backend).__module__.rpartition(".")[2], backend
    kinds = scan()
    if backend not in kinds:
        raise BackendAbsent(
            f"solve: there is no backend {backend!r}; known: {', '.join(kinds)}; "
            f"can run here: {', '.join(available())}"
        )
    return backend, kinds[backend]()


def _guarded(backend: Backend, program: ConicProgram, limits: Limits) -> Answer:
    """The backend's answer; its errors, a panic of native code among them, become a status."""
    try:
        return backend.run(program, limits)
    except (SolverError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a native panic is no Exception
        message = f"{type(error).__name__}: {error}"
        LOG.warning("%s failed: %s", type(backend).__name__, message)
        return Answer(None, None, Status.FAILED, message)
