"""What attacks look for at a point: one number per goal, all of them to be made large."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.attacks.networks import Response
from lipcert.graph.pair import Pair

ROUNDING = 2.0**-40  # share of the largest score; a label that leads by less is no label


@dataclass(frozen=True, slots=True)
class Goals:
    """Columns of a matrix (points, goals); every goal is reached where its value is largest.

    In order: the drift of each output, its negative, the largest absolute drift, and for a
    classifier the margin by which the labels differ and the margins of another label over the
    reference label in each network.

    Args:
        outputs: number of outputs, flattened.
        classifies: whether the outputs are scores of at least two labels.
    """

    outputs: int
    classifies: bool

    @classmethod
    def of(cls, pair: Pair) -> "Goals":
        """Labels exist where the outputs have one axis of at least two entries."""
        shape = pair.original.output.shape
        outputs = math.prod(shape)
        return cls(outputs, len(shape) == 1 and outputs >= 2)

    @property
    def count(self) -> int:
        """Number of columns."""
        return 2 * self.outputs + (4 if self.classifies else 1)

    @property
    def largest(self) -> int:
        """Column of the largest absolute drift."""
        return 2 * self.outputs

    @property
    def disagreement(self) -> int:
        """Column that is positive where the two labels differ."""
        return 2 * self.outputs + 1

    @property
    def crossings(self) -> tuple[int, int]:
        """Columns that are positive where f, or g, has another label than the reference."""
        return 2 * self.outputs + 2, 2 * self.outputs + 3

    def values(self, response: Response, reference: Tensor) -> Tensor:
        """Every goal at every point, (points, goals), differentiable.

        Args:
            response: of both networks at the points.
            reference: a label per point, (points,).
        """
        drift = response.drift
        columns = [drift, -drift, drift.abs().amax(1, keepdim=True)]
        if self.classifies:
            f, g = response.original_scores, response.compressed_scores
            differ = torch.minimum(_lead(g, f.argmax(1)), _lead(f, g.argmax(1)))
            rounding = ROUNDING * torch.maximum(f.abs(), g.abs()).amax(1, keepdim=True)
            columns += [differ - rounding, _lead(f, reference), _lead(g, reference)]
        return torch.cat(columns, 1)


def _lead(scores: Tensor, label: Tensor) -> Tensor:
    """How far the best other score lies above that of `label`, (points, 1)."""
    place = label[:, None]
    return scores.scatter(1, place, -torch.inf).amax(1, keepdim=True) - scores.gather(1, place)
