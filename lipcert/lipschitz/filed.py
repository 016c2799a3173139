"""Constants as they are filed: what the checker derives, with the multipliers that it needs."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipcert.certificate.claim import RegionModel
from lipcert.certificate.lipschitz import Role
from lipcert.check.claim import Regions
from lipcert.check.jacobian import Slopes, slopes, total
from lipcert.check.lipschitz import PARTS, Part, area, both, entries, proved
from lipcert.check.network import opened
from lipcert.check.operation import Array, Box, Index, size
from lipcert.check.reader import CannotCheckError, Steps
from lipcert.lipschitz.relaxation import Multipliers
from lipcert.walk.progress import Watch, quiet

if TYPE_CHECKING:
    from lipcert.lipschitz.bound import Bounds, LipschitzBound

Arrays = Mapping[str, np.ndarray]
log = logging.getLogger(__name__)
MARGIN = 1e-9  # by which claims are wider than what was derived, relative: for other machines
LOOSER = 1.01  # claims that are looser than what was proved by more are told
WIDEST = 2.0  # claims that would have to be looser by more are kept, and cannot be checked
SMALLEST = 1e-100  # of a claim: that nothing at all moves is not proved
INFLATIONS = (0.0, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5)
_Row = tuple[float, Sequence[tuple[str, Multipliers]]]  # a claim, and multipliers with their method


@dataclass(frozen=True, slots=True, eq=False)
class Filed:
    """What is claimed of one network, or of a difference.

    Args:
        upper: of every row; infinite where nothing was proved.
        multipliers: of the rows that do not follow from derivatives alone, and their method.
        reason: why no checker can derive it, if so.
    """

    upper: tuple[float, ...]
    multipliers: tuple[tuple[str, Multipliers], ...] = ()
    reason: str | None = None

    def tell(self, role: Role, bound: "LipschitzBound") -> None:
        """What cannot be checked of what was proved."""
        if self.reason is not None:
            log.warning("%s: saved so that nobody can check it: %s", role, self.reason)
        elif math.isfinite(bound.upper) and max(self.upper) > LOOSER * bound.upper:
            found = max(self.upper), bound.upper
            log.warning("%s: saved as %.9g, which can be checked; %.9g was proved", role, *found)


def filed(bounds: "Bounds", region: RegionModel | None, arrays: Arrays,
          watch: Watch = quiet) -> dict[Role, Filed]:  # fmt: skip
    """Of every role, at least what was proved."""
    wide = {name: array.astype(float) for name, array in arrays.items()}
    regions = None if region is None else Regions.of(region, wide)
    filing, found = _Filing(bounds, regions), dict[Role, Filed]()
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for role, bound in bounds.items():
            found[role] = filing.filed(role, found)
            found[role].tell(role, bound)
    return found


class _Filing:
    """Networks as the checker reads them, and slopes as it derives them."""

    def __init__(self, bounds: "Bounds", regions: Regions | None) -> None:
        """Nothing read yet."""
        self.bounds, self.regions = bounds, regions
        self.networks, self.known = dict[Role, Steps](), dict[tuple[Role, int], Slopes]()

    def filed(self, role: Role, found: Mapping[Role, Filed]) -> Filed:
        """All rows of a role, after those of its parts."""
        uppers = self.bounds[role].upper_per_region.tolist()
        try:
            rows = [self.row(role, row, found) for row in range(len(uppers))]
        except (CannotCheckError, ArithmeticError) as error:
            return Filed(tuple(uppers), (), str(error))
        return Filed(tuple(u for u, _ in rows), tuple(m for _, some in rows for m in some))

    def row(self, role: Role, row: int, found: Mapping[Role, Filed]) -> _Row:
        """What is claimed of a row, and the multipliers behind it."""
        upper = max(SMALLEST, float(self.bounds[role].upper_per_region[row]))
        least: _Row = (math.inf, ())
        if math.isinf(upper):
            return least
        reason = ""
        for way in (self._by_sum, self._by_multipliers, self._by_derivatives):
            try:
                least = min(least, way(role, row, found), key=lambda one: one[0])
            except CannotCheckError as error:
                reason = reason or f"{error}; "
            if least[0] <= LOOSER * upper:
                return least
        if least[0] > WIDEST * upper:
            follows = "nothing" if math.isinf(least[0]) else f"no less than {least[0]:.9g}"
            raise CannotCheckError(f"{reason}{upper:.9g} was proved, and {follows} follows")
        return least

    def _by_sum(self, role: Role, row: int, found: Mapping[Role, Filed]) -> _Row:
        if role != "difference":
            return math.inf, ()
        uppers = {part: found[part].upper[row] for part in PARTS[role]}
        return max(float(self.bounds[role].upper_per_region[row]), both(uppers)), ()

    def _by_multipliers(self, role: Role, row: int, _found: object) -> _Row:
        """By those of the best proof that has any."""
        having = list[tuple[float, str, list[Multipliers]]]()
        for name, proof in self.bounds[role].proofs.items():
            kept = [part for part in proof.multipliers if part.row == row]
            having += [(float(proof.upper[row]), name, kept)] if kept else []
        if not having:
            return math.inf, ()
        upper, method, kept = min(having, key=lambda one: one[0])
        parts = self._parts(role, row, kept)
        claims = (upper * (1 + inflation) for inflation in INFLATIONS)
        claim = next((claim for claim in claims if proved(parts, "2", claim)), math.inf)
        return claim * (1 + MARGIN), [(method, part) for part in kept]

    def _by_derivatives(self, role: Role, row: int, _found: object) -> _Row:
        bound, parts = self.bounds[role], self._parts(role, row, ())
        share = 0.5 if parts[0].steps.softmax else 1.0
        least = share * _near(entries(parts), bound.norm)
        claim = max(SMALLEST, float(bound.upper_per_region[row]), least)
        return (claim * (1 + MARGIN) if proved(parts, bound.norm, claim) else math.inf), ()

    def _parts(self, role: Role, row: int, kept: Sequence[Multipliers]) -> list[Part]:
        weights = {part: dict[str, tuple[Index, Array]]() for part in PARTS[role]}
        for one in kept:
            whose, node = one.node.split(":", 1) if role == "difference" else (role, one.node)
            weights[whose][node] = one.neurons.numpy(), one.weights.numpy()
        return [Part(self._network(p), self._slopes(p, row), weights[p]) for p in PARTS[role]]

    def _network(self, role: Role) -> Steps:
        if role not in self.networks:
            facts = self.bounds[role].origin.network
            if facts is None or facts.format != "ONNX":
                raise CannotCheckError("networks that are no ONNX files")
            try:
                self.networks[role] = opened(Path(facts.source), role, facts.file_sha256)
            except ValueError as error:
                raise CannotCheckError(str(error)) from error
        return self.networks[role]

    def _slopes(self, role: Role, row: int) -> Slopes:
        if (role, row) not in self.known:
            self.known[role, row] = slopes(self._network(role), area(self.regions, row))
        return self.known[role, row]


def _near(matrix: Box, norm: str) -> float:
    """About the largest norm of a matrix between two that can be proved."""
    if norm != "2":
        return total(matrix, norm)
    middle, radius, most = (matrix[0] + matrix[1]) / 2, (matrix[1] - matrix[0]) / 2, size(matrix)
    more = np.abs(middle).T @ radius
    doubt = np.max(np.sum(more + more.T + radius.T @ radius, 1))
    first, second = (float(np.linalg.norm(rows, 2)) for rows in (middle, most))
    return min(math.sqrt(first**2 + 2.01 * doubt), second) * (1 + MARGIN)
