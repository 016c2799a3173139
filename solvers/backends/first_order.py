"""Our own alternating direction method of multipliers: no package beyond SciPy."""

import logging
import time
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from solvers.array import Vector
from solvers.backends.base import Answer, Backend
from solvers.candidate import Candidate, Status
from solvers.limits import Limits
from solvers.normal import Solve, gram_solver
from solvers.program import ConicProgram
from solvers.transforms.scaling import apply

LOG = logging.getLogger(__name__)
TOLERANCE = 1e-9  # of both residuals and of the gap, in scaled units
RAY = 1e-6  # how nearly a direction must be a certificate, where its gain is one
RIDGE = 1e-8
RELAX = 1.6
CHECK = 25  # iterations between looks at the residuals
BALANCE = 5.0  # by how much one residual may exceed the other before the penalty changes
ITERATIONS = 50_000


@final
@dataclass(frozen=True, slots=True)
class FirstOrder(Backend):
    """Always here, robust and slow: one factorisation, then projections onto the cones.

    Source:
        S. Boyd et al., Distributed optimization and statistical learning via the alternating
        direction method of multipliers (2011), sec. 3; certificates of infeasibility from
        differences of iterates: G. Banjac et al., J. Optim. Theory Appl. 183 (2019).
    """

    package: ClassVar[str | None] = None
    install: ClassVar[str] = "nothing: it comes with solvers"
    accuracy: ClassVar[float] = 1e-4

    def run(self, program: ConicProgram, limits: Limits) -> Answer:
        """Warm where the limits bring a candidate; interrupted, it answers where it stood."""
        scaled = apply(program)
        start = None if limits.warm is None else scaled.lower(limits.warm)
        status, iterate, count = _iterate(scaled.program, limits, start)
        found = scaled.lift(Candidate(iterate.x, iterate.z, status))
        return Answer(found.x, found.z, status, f"{count} iterations")


@dataclass(slots=True, eq=False)
class _Iterate:
    """x, slack s in K, scaled dual u and the penalty; z = penalty u lies in the dual cone."""

    x: Vector
    s: Vector
    u: Vector
    penalty: float

    @property
    def z(self) -> Vector:
        return self.penalty * self.u


def _iterate(
    program: ConicProgram, limits: Limits, start: Candidate | None
) -> tuple[Status, _Iterate, int]:
    """Steps until one of the endings."""
    began, solve, now = time.perf_counter(), gram_solver(program.A.T, RIDGE), _first(program, start)
    most, count = limits.iterations or ITERATIONS, 0
    try:
        for count in range(1, most + 1):
            before = _Iterate(now.x, now.s, now.u, now.penalty)
            _step(program, solve, now)
            if count % CHECK and count < most:
                continue
            status = _ending(program, before, now, verbose=limits.verbose)
            if status is not None:
                return status, now, count
            if limits.seconds is not None and time.perf_counter() - began > limits.seconds:
                return Status.TIME_LIMIT, now, count
    except KeyboardInterrupt:
        return Status.INTERRUPTED, now, count
    return Status.ITERATION_LIMIT, now, most


def _first(program: ConicProgram, start: Candidate | None) -> _Iterate:
    if start is None or start.x is None or start.z is None:
        zeros = np.zeros(program.rows)
        return _Iterate(np.zeros(program.variables), zeros, zeros, 1.0)
    x, z = start.x.astype(np.float64), start.z.astype(np.float64)
    return _Iterate(x, program.b - program.A @ x, z, 1.0)


def _step(program: ConicProgram, solve: Solve, now: _Iterate) -> None:
    """Least squares for x, a projection for s, the multiplier last; over-relaxed."""
    A, b = program.A, program.b
    now.x = solve(A.T @ (b - now.s - now.u) + RIDGE * now.x - program.c / now.penalty)
    relaxed = RELAX * (b - A @ now.x) + (1 - RELAX) * now.s
    target = relaxed - now.u
    now.s = np.concatenate([target[:0], *(c.project(target[r]) for c, r in program.blocks())])
    now.u = now.s - target


def _ending(
    program: ConicProgram, before: _Iterate, now: _Iterate, *, verbose: bool
) -> Status | None:
    """How it ends here, if it does; else the penalty is balanced."""
    A, b, c, z = program.A, program.b, program.c, now.z
    image, pull = A @ now.x, A.T @ z
    primal = _size(image + now.s - b) / (1 + max(_size(image), _size(now.s), _size(b)))
    dual = _size(pull + c) / (1 + max(_size(pull), _size(c)))
    value, other = float(c @ now.x), -float(b @ z)
    gap = abs(value - other) / (1 + min(abs(value), abs(other)))
    if verbose:
        LOG.info("first_order: primal %.1e, dual %.1e, gap %.1e", primal, dual, gap)
    if max(primal, dual, gap) <= TOLERANCE:
        return Status.OPTIMAL
    ray = _certificate(program, before, now)
    if ray is None and not max(primal, dual) / BALANCE <= min(primal, dual):
        factor = float(np.clip(np.sqrt(primal / max(dual, 1e-16)), 0.1, 10.0))
        now.penalty, now.u = now.penalty * factor, now.u / factor
    return ray


def _certificate(program: ConicProgram, before: _Iterate, now: _Iterate) -> Status | None:
    """Infeasible or unbounded, where the last step is nearly a certificate: that is kept."""
    step = now.penalty * (now.u - before.u)
    if _size(step) > TOLERANCE and -float(program.b @ step) > 0:
        ray = step / -float(program.b @ step)
        if _size(program.A.T @ ray) <= RAY:
            now.x, now.u = np.full_like(now.x, np.nan), ray / now.penalty
            return Status.INFEASIBLE
    step = now.x - before.x
    if _size(step) > TOLERANCE and -float(program.c @ step) > 0:
        ray = step / -float(program.c @ step)
        image = -(program.A @ ray)
        inside = np.concatenate([image[:0], *(c.project(image[r]) for c, r in program.blocks())])
        if _size(image - inside) <= RAY:
            now.x, now.u = ray, np.full_like(now.u, np.nan)
            return Status.UNBOUNDED
    return None


def _size(values: Vector) -> float:
    return float(np.abs(values).max(initial=0.0))
