"""Lipschitz constants in the l2 norm of ReLU networks: ours, generic solvers, ECLipsE.

One row per network and method. `upper` is proved where it says so, else what the method claims.
`SDP lower`: no multipliers of LipSDP prove less; from the generic program a proved dual bound, from
ours float64 arithmetic. Every task runs in a process of its own, within a limit of CPU seconds and
of address space, the network read before; a task that is stopped has no value, and a method that
reached its limit on one network is left out on those that are no narrower and have no fewer
neurons.
"""

import importlib
import math
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.measured import Measured, TaskFailed, measured
from benchmarks.mlps import Mlp, networks, seeded
from benchmarks.peers.auto_lirpa import PeerMissingError
from benchmarks.peers.eclipse import constant, eclipse
from benchmarks.table import Cell, begin
from lipcert.graph.layer_graph import LayerGraph
from lipcert.read import read_module
from lipcert.sdp import Chain, search
from lipcert.sdp.generic import generic
from solvers import Limits, Status, prove, solve
from solvers.backends.cvxpy import Cvxpy

FLAGS = {
    "small": "leave out networks of a thousand hidden neurons and more",
    "long": "ten minutes for every task instead of two",
    "ours": "leave out the other methods",
    "clarabel": "leave out the other methods but Clarabel through cvxpy",
}
OURS = "ours"
OWN = (OURS, "norm product")
CLARABEL = "cvxpy + CLARABEL"
GIB = 8
SECONDS, LONG = 120, 600
PATIENCE = 10  # seconds on the wall per CPU second: a busy machine stops nothing early


@dataclass(frozen=True, slots=True)
class Answer:
    """Of one method on one network.

    Args:
        upper: of the Lipschitz constant; NaN for none.
        lower: of what LipSDP can prove; NaN for none.
        proved: whether `upper` is.
        remark: a status.
    """

    upper: float
    lower: float
    proved: bool
    remark: str


Task = Callable[[], Answer]


def main() -> None:
    """The table; without the peer, the rest of it and a plain word."""
    report, path = begin("lipschitz", __doc__, FLAGS)
    limit = LONG if "long" in report.options.chosen else SECONDS
    report.start(
        "Lipschitz constants, l2 norm, all outputs jointly, all inputs",
        f"At most {limit} CPU seconds and {GIB} GiB of address space each.",
    )
    _import_all()
    stopped: dict[str, list[Mlp]] = {}
    for network in networks(small="small" in report.options.chosen):
        seconds = math.nan
        for name, task in _tasks(network, _graph(network), limit):
            if not _wanted(name, report.options.chosen):
                continue
            beyond = [n for n in stopped.get(name, []) if _no_smaller(network, n)]
            if beyond:
                row = _row(network, name, None, f"left out: stopped on {beyond[0].title}")
            else:
                found = _within(task, limit, report.options.threads)
                row = _row(network, name, found)
                if found is None or found.cpu_seconds >= 0.9 * limit:
                    stopped.setdefault(name, []).append(network)
                seconds = found.cpu_seconds if found and name == OURS else seconds
                row["over ours"] = found.cpu_seconds / seconds if found else None
            report.row(row)
    missing = None if report.options.chosen & {"ours", "clarabel"} else _missing()
    if missing is not None:
        report.say(f"\nECLipsE is left out: {missing}")
    if path is not None:
        report.save(path)


def _wanted(name: str, chosen: frozenset[str]) -> bool:
    if "clarabel" in chosen:
        return name in (*OWN, CLARABEL)
    return name in OWN or "ours" not in chosen


def _import_all() -> None:
    """Once, before the tasks are forked: what importing takes is in no row."""
    for name in ("clarabel", "cvxpy", "scs"):
        importlib.import_module(name)
    Chain.of(_graph(seeded(1, 2)))


def _tasks(network: Mlp, graph: LayerGraph, limit: float) -> Iterator[tuple[str, Task]]:
    """Methods, ours first."""
    yield OURS, lambda: _ours(graph, limit)
    yield "norm product", lambda: Answer(network.norm_product(), math.nan, False, "")
    yield "generic, proved", lambda: _generic_proved(graph, limit)
    for solver in ("CLARABEL", "SCS"):
        yield f"cvxpy + {solver}", lambda solver=solver: _generic(graph, solver, limit)
    if _missing() is None:
        for method in ("ECLipsE", "ECLipsE_Fast"):
            yield method, lambda method=method: _peer(network, method)


def _graph(network: Mlp) -> LayerGraph:
    return read_module(network.module(), (network.weights[0].shape[1],))


def _ours(graph: LayerGraph, limit: float) -> Answer:
    proof = search(Chain.of(graph), limit_seconds=PATIENCE * limit)
    lower = proof.relaxation_lower if proof.relaxation_lower > 0 else math.nan
    return Answer(proof.upper, lower, True, f"inflated by {proof.inflation:.0e}")


def _generic(graph: LayerGraph, solver: str, limit: float) -> Answer:
    """As a solver claims it."""
    candidate = solve(
        generic(Chain.of(graph)), Cvxpy(solver=solver), Limits(seconds=PATIENCE * limit)
    )
    if candidate.x is None or candidate.status is Status.FAILED:
        return Answer(math.nan, math.nan, False, candidate.message)
    return Answer(math.sqrt(max(0.0, candidate.x[0])), math.nan, False, candidate.message)


def _generic_proved(graph: LayerGraph, limit: float) -> Answer:
    """Clarabel, both sides proved."""
    proved, candidate = prove(
        generic(Chain.of(graph)), "clarabel", Limits(seconds=PATIENCE * limit)
    )
    upper, lower = (math.sqrt(max(0.0, side)) for side in (proved.upper, proved.lower))
    return Answer(upper, lower or math.nan, math.isfinite(upper), candidate.message)


def _peer(network: Mlp, method: str) -> Answer:
    value, remark = constant(network.weights, method)
    return Answer(value, math.nan, False, remark)


def _missing() -> str | None:
    try:
        eclipse()
    except PeerMissingError as error:
        return str(error)
    return None


def _within(task: Task, limit: float, threads: int) -> Measured[Answer] | None:
    """A task that is stopped by the kernel at its limits is none."""

    def run() -> Answer:
        used = math.ceil(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        most = used + math.ceil(limit)
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        resource.setrlimit(resource.RLIMIT_AS, (GIB << 30, GIB << 30))
        try:
            return task()
        except MemoryError:
            return Answer(math.nan, math.nan, False, "out of memory")

    try:
        return measured(run, threads=threads)
    except TaskFailed as error:
        if "died with status" not in str(error):
            raise
        return None


def _no_smaller(network: Mlp, other: Mlp) -> bool:
    return network.width >= other.width and network.hidden >= other.hidden


def _row(
    network: Mlp, name: str, found: Measured[Answer] | None, why: str = "stopped"
) -> dict[str, Cell]:
    """What one method found; "over ours" is its CPU time over ours."""
    answer = found.value if found else Answer(math.nan, math.nan, False, why)
    finite = math.isfinite(answer.upper)
    bracket = finite and math.isfinite(answer.lower)
    return {
        "network": network.title,
        "neurons": network.hidden,
        "method": name,
        "upper": answer.upper if finite else None,
        "SDP lower": answer.lower if math.isfinite(answer.lower) else None,
        "gap": answer.upper / answer.lower - 1 if bracket else None,
        "proved": answer.proved if finite else None,
        "CPU s": found.cpu_seconds if found else None,
        "over ours": None,
        "MiB": found.added_mib if found else None,
        "remark": answer.remark,
    }


if __name__ == "__main__":
    main()
