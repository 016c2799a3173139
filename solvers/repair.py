"""Points near a candidate that are more likely to be proved. Nothing here is trusted."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from solvers.array import Mask, Vector, sparse
from solvers.candidate import Candidate
from solvers.cones import Nonneg, Zero
from solvers.normal import NormalEquations
from solvers.program import ConicProgram

ROUNDS = 60
LOOK = 10
LEVELS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A point, and where an exact one near it may be looked for.

    Args:
        point: x, or z of the dual.
        exact: of x, the rows that hold with equality, those of equations among them; of z, the
            entries that may move, the others staying as they are.
    """

    point: Vector
    exact: Mask


class Repair:
    """Proposals for one program from one candidate."""

    def __init__(self, program: ConicProgram, x: Vector | None, z: Vector | None) -> None:
        """Take x and z where they are there: finite and of the right shape."""
        self.program, self.x, self.z = program, x, z
        self.rows = program.A.tocsr()
        self.columns = program.A.T.tocsr()
        self.equations = program.of_kind(Zero)
        self._normal: NormalEquations | None = None

    def primal(self) -> Iterator[Proposal]:
        """The candidate's x, then x on its equations, then x on its active rows."""
        if self.x is None:
            return
        if not self.equations.any():
            yield Proposal(self.x, self.equations)
        else:
            yield self._held(self.x, self.equations)
        if self.z is not None:
            slack = self.program.b - self.program.A @ self.x
            active = self.program.of_kind(Nonneg) & (slack < self.z)
            if active.any():
                yield self._held(self.x, self.equations | active)

    def primal_centred(self) -> Iterator[Proposal]:
        """The candidate's x, moved inside by growing margins."""
        if self.x is None:
            return
        slack = self.program.b - self.program.A @ self.x
        inside = (self._moved_inside(self.x, m) for m in self._margins(slack, dual=False))
        for point in _until_hopeless(inside):
            yield self._held(point, self.equations)

    def primal_at(self, point: Vector) -> Iterator[Proposal]:
        """A point, put on the equations."""
        yield self._held(point, self.equations)

    def dual(self) -> Iterator[Proposal]:
        """The candidate's z in the dual cone, then z that is zero on inactive rows."""
        if self.z is None:
            return
        everywhere = np.ones(self.program.rows, np.bool_)
        inside = _projected(self.program, self.z, dual=True)
        yield Proposal(inside, everywhere)
        if self.x is not None:
            slack = self.program.b - self.program.A @ self.x
            idle = self.program.of_kind(Nonneg) & (slack >= self.z)
            if idle.any():
                yield self._balanced(np.where(idle, 0.0, inside), ~idle)

    def dual_centred(self) -> Iterator[Proposal]:
        """The candidate's z, moved inside the dual cone by growing margins."""
        if self.z is None:
            return
        everywhere = np.ones(self.program.rows, np.bool_)
        inside = (self._moved_inside_dual(self.z, m) for m in self._margins(self.z, dual=True))
        for point in _until_hopeless(inside):
            yield self._balanced(point, everywhere)

    def _margins(self, point: Vector, *, dual: bool) -> list[float]:
        """Growing margins, the first a little above what is missing."""
        missing = np.abs(point - _projected(self.program, point, dual=dual)).max(initial=0.0)
        first = max(4 * missing, 1e-13 * (1 + np.abs(point).max(initial=0.0)))
        return [first * 8.0**level for level in range(LEVELS)]

    def _held(self, x: Vector, held: Mask) -> Proposal:
        """Near x, with the rows `held` met as well as floats allow."""
        if held.any() and held.sum() <= self.program.variables:
            matrix = sparse(self.rows[held])
            normal = NormalEquations(matrix)
            for _ in range(3):
                x = x + normal.shift(self.program.b[held] - matrix @ x)
        return Proposal(x, held)

    def _balanced(self, z: Vector, movable: Mask) -> Proposal:
        """Near z, with A'z + c = 0 as well as floats allow."""
        if movable.sum() >= self.program.variables:
            normal = NormalEquations(sparse(self.rows[movable].T))
            z = z.copy()
            for _ in range(3):
                z[movable] += normal.shift(-(self.program.c + self.columns @ z))
        return Proposal(z, movable)

    def _moved_inside(self, x: Vector, margin: float) -> Vector | None:
        """Alternating projections onto the cone less a margin and onto the slacks of the rows."""
        program, normal = self.program, self._whole()
        inner = margin * program.identity()
        pace = _Pace(margin / 4)
        while pace.goes_on:
            slack = program.b - program.A @ x
            away = slack - inner - _projected(program, slack - inner, dual=False)
            if pace.arrived(away):
                return x
            x = x + normal.solve(self.columns @ away)
        return None

    def _moved_inside_dual(self, z: Vector, margin: float) -> Vector | None:
        """The same for z, between the dual cone less a margin and A'z + c = 0."""
        program, normal = self.program, self._whole()
        inner = margin * program.identity()
        pace = _Pace(margin / 4)
        while pace.goes_on:
            target = inner + _projected(program, z - inner, dual=True)
            if pace.arrived(target - z):
                return z
            z = target + normal.shift(-(program.c + self.columns @ target))
        return None

    def _whole(self) -> NormalEquations:
        if self._normal is None:
            self._normal = NormalEquations(sparse(self.program.A.T))
        return self._normal


@dataclass(slots=True, eq=False)
class _Pace:
    """Whether alternating projections still come nearer."""

    near: float
    rounds: int = 0
    last: float = np.inf
    goes_on: bool = True

    def arrived(self, away: Vector) -> bool:
        """Count a round; give up after ROUNDS, or where LOOK of them have not halved the way."""
        distance = float(np.abs(away).max(initial=0.0))
        self.rounds += 1
        if self.rounds % LOOK == 0:
            self.goes_on = distance < self.last / 2 and self.rounds < ROUNDS
            self.last = distance
        return distance <= self.near


def _until_hopeless(points: Iterable[Vector | None]) -> Iterator[Vector]:
    """Those that are there, until the second that is not."""
    missing = 0
    for point in points:
        if point is not None:
            yield point
        else:
            missing += 1
            if missing == 2:
                return


def _projected(program: ConicProgram, point: Vector, *, dual: bool) -> Vector:
    """Near the point, block by block in the cone or in its dual."""
    result = np.empty_like(point)
    for cone, rows in program.blocks():
        result[rows] = (cone.dual() if dual else cone).project(point[rows])
    return result


def finite(candidate: Candidate, program: ConicProgram) -> tuple[Vector | None, Vector | None]:
    """The x and z of a candidate, each None unless it is a finite vector of the right length."""
    return _vector(candidate.x, program.variables), _vector(candidate.z, program.rows)


def _vector(values: object, size: int) -> Vector | None:
    if values is None:
        return None
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" or array.shape != (size,):
        return None
    array = array.astype(np.float64)
    return array if np.isfinite(array).all() else None
