r"""The S-procedure in the units that it is solved in.

Maximise t over
$Z(t, \mu, \lambda) = e_0 e_0' - \mu (e_0 e_0' - I_x) - \sum_j \lambda_j p_j q_j' - t G \ge 0$,
with symmetrised products and $G$ the goal's matrix; the bound is 1 / t. Every coordinate is scaled
by its unit and every product by its size; an input wider than what reads it is rotated.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, eigvalsh, solve_triangular

from lipcert.sdp.maps import Array, Mask
from lipcert.sdp.procedure.known import Known, Products, Stage
from lipcert.sdp.procedure.proof import Multipliers

NEGLIGIBLE = 1e-15  # share of an input direction's weight in the forms that is left out
LEAST = 1e-100  # coefficient of a goal that is worth a search
HALF = 0.5
SHRINK = 0.25
TRIES = 60  # of shares: two in a row must be inside, to rounding


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """The program; its variables are t, the ball's multiplier and those of the products.

    Args:
        first: (goal's and known products, columns) first forms, the goal's rows in front.
        second: likewise the second forms.
        goals: number of the goal's rows.
        inputs: width of x.
        radius: of the ball in its own units.
        sizes: what the known products were divided by, half of it from each of their forms.
        unit: the goal's value that t = 1 stands for.
        stages: in these columns.
        units: of the coordinates.
        turn: input directions that are kept, as columns; None for all coordinates.
    """

    first: Array
    second: Array
    goals: int
    inputs: int
    radius: float
    sizes: Array
    unit: float
    stages: tuple[Stage, ...]
    units: Array
    turn: Array | None

    @classmethod
    def of(cls, known: Known, goal: Products, unit: float) -> "Scaled":
        """In units of the coordinates, of the products and of the goal."""
        units = known.units.copy()
        units[1 : 1 + known.inputs] = known.radius
        forms = [part.value * units for part in (goal.first, known.products.first)]
        others = [part.value * units for part in (goal.second, known.products.second)]
        first, second = np.concatenate(forms), np.concatenate(others)
        turn = _turn(first, second, known.inputs)
        inputs = known.inputs if turn is None else turn.shape[1]
        saved = known.inputs - inputs
        length = np.sqrt(np.append(np.full(goal.count, unit), known.sizes))[:, None]
        stages = tuple(
            Stage(s.rows, slice(s.columns.start - saved, s.columns.stop - saved))
            for s in known.stages
        )
        first, second = (_turned(part, turn) / length for part in (first, second))
        sizes = (goal.count, inputs, known.radius, known.sizes, unit)
        return cls(first, second, *sizes, stages, units, turn)

    def aimed(self, goal: Products, unit: float) -> "Scaled":
        """At another goal, in the same coordinates; it must read no input direction beyond them."""
        first, second = (
            np.concatenate(
                [_turned(part.value * self.units, self.turn) / math.sqrt(unit), own[self.goals :]]
            )
            for part, own in ((goal.first, self.first), (goal.second, self.second))
        )
        return replace(self, first=first, second=second, goals=goal.count, unit=unit)

    @property
    def order(self) -> int:
        """Of the matrix."""
        return self.first.shape[1]

    @property
    def variables(self) -> int:
        """Number of them."""
        return 2 + len(self.sizes)

    @property
    def usable(self) -> bool:
        """Whether all numbers are finite, and the goal more than nothing."""
        finite = np.isfinite(self.first).all() and np.isfinite(self.second).all()
        sizes = (abs(part[: self.goals]).max() for part in (self.first, self.second))
        return bool(finite) and min(map(float, sizes)) > LEAST

    def image(self, point: Array) -> Array:
        """The sum of all variables times their matrices: e_0 e_0' - Z."""
        weights = np.concatenate([np.full(self.goals, point[0]), point[2:]])
        half = (self.first.T * weights) @ self.second
        matrix = (half + half.T) / 2
        inner = np.arange(1, 1 + self.inputs)
        matrix[0, 0] += point[1]
        matrix[inner, inner] -= point[1]
        return matrix

    def slack(self, point: Array) -> Array:
        """Z at a point."""
        matrix = -self.image(point)
        matrix[0, 0] += 1
        return matrix

    def against(self, matrix: Array) -> Array:
        """Inner products of a symmetric matrix with every variable's."""
        rows = ((self.first @ matrix) * self.second).sum(1)
        ball = matrix[0, 0] - np.trace(matrix[1 : 1 + self.inputs, 1 : 1 + self.inputs])
        return np.concatenate([[rows[: self.goals].sum(), ball], rows[self.goals :]])

    def multipliers(self, point: Array) -> Multipliers:
        """Of the known products in their own units, at a goal of 1 / t."""
        value = self.value(point)
        return Multipliers(value * point[1] / self.radius**2, value * point[2:] / self.sizes)

    def value(self, point: Array) -> float:
        """Bound on the goal that a point stands for."""
        return self.unit / point[0]


def start(program: Scaled) -> Array:
    """A point strictly inside: sectors layer by layer, then a little of all other products.

    Eliminating a layer's own neurons leaves Z - s H' H of the earlier columns, with H the means of
    both forms: positive as long as s is below the reciprocal of the largest eigenvalue of
    H Z^{-1} H'. Half of that is taken.

    Raises:
        LinAlgError: rounding hides the inside.
    """
    point = np.zeros(program.variables)
    point[1] = HALF
    for stage in program.stages:
        rows = np.arange(stage.rows.start, stage.rows.stop)
        if len(rows) == 0:
            continue
        before = slice(0, stage.columns.start)
        mean = (program.first + program.second)[program.goals + rows, before] / 2
        done = cho_factor(program.slack(point)[before, before], lower=True)
        seen = eigvalsh(mean @ cho_solve(done, mean.T))[-1]
        point[2 + rows] = HALF / max(float(seen), 1e-300)
    rest = point[2:] == 0
    share = float(point[2:][~rest].min()) if (~rest).any() else 1.0
    before, root = None, _with_rest(program, point, rest, share)
    for _ in range(TRIES):
        if before is not None and root is not None:
            break
        share *= SHRINK
        before, root = root, _with_rest(program, point, rest, share)
    found = with_goal(program, point, HALF)
    if found is None:
        raise np.linalg.LinAlgError("no point strictly inside was found")
    return found


def with_goal(program: Scaled, point: Array, share: float) -> Array | None:
    """A point with a share of the largest t that Z allows; None where there is none."""
    point = point.copy()
    point[0] = 0.0
    root = _root(program.slack(point))
    if root is None:
        return None
    unit = np.zeros(program.variables)
    unit[0] = 1
    goal = solve_triangular(root, program.image(unit), lower=True)
    goal = solve_triangular(root, goal.T, lower=True)
    point[0] = share / max(float(eigvalsh((goal + goal.T) / 2)[-1]), 1e-300)
    return point


def _with_rest(program: Scaled, point: Array, rest: Mask, share: float) -> Array | None:
    """Sets the multipliers of all products that are no sectors; the root of Z there, if any."""
    point[2:][rest] = share
    return _root(program.slack(point))


def _root(matrix: Array) -> Array | None:
    """Cholesky factor, or None where the matrix is not positive definite to rounding."""
    try:
        return cholesky(matrix, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None


def _turn(first: Array, second: Array, inputs: int) -> Array | None:
    """Directions of the input that are read, where they are few."""
    inner = slice(1, 1 + inputs)
    gram = first[:, inner].T @ first[:, inner] + second[:, inner].T @ second[:, inner]
    weight, directions = np.linalg.eigh(gram)
    keep = weight > NEGLIGIBLE * weight[-1]
    return directions[:, keep] if keep.any() and not keep.all() else None


def _turned(form: Array, turn: Array | None) -> Array:
    """In coordinates along the directions that are kept."""
    if turn is None:
        return form
    inputs = len(turn)
    return np.hstack([form[:, :1], form[:, 1 : 1 + inputs] @ turn, form[:, 1 + inputs :]])
