"""Support function of a region: the least value of linear functionals over the inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import cast_down, cast_up, down, gamma, inflate, up
from lipcert.ops.functional import Functional
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.table import Rows, Table


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """A region's hull, and its ball where it has one, in the dtype of a walk."""

    hull: Interval
    box: Table
    ball: Table | None
    radius: float

    @classmethod
    def of(cls, region: Region, placement: Placement) -> "Support":
        """Rounded outward into the placement's dtype."""
        exact = region.hull
        hull = Interval(
            cast_down(exact.lower, placement.dtype).to(placement.device),
            cast_up(exact.upper, placement.dtype).to(placement.device),
        )
        centre = hull.centre
        radius = hull.radius(centre)
        box = Table.pack([centre, radius, up(centre.abs() + radius)])
        around = region.ball()
        if around is None:
            return cls(hull, box, None, 0.0)
        middle = around[0].to(placement.device, placement.dtype)
        moved = (middle.double().cpu() - around[0]).flatten(1)
        shift = float(torch.linalg.vector_norm(moved, dim=1).max()) * (1 + 1e-9)
        return cls(hull, box, Table.pack([middle, middle.abs()]), (around[1] + shift) * (1 + 1e-9))

    def least(self, functional: Functional, rows: Rows) -> Tensor:
        """Proved lower bound of every functional over its row's region, (rows,).

        Box: c v - r |v|. Ball: c v - radius ||v||_2 (Cauchy-Schwarz). Both less their rounding.
        """
        terms = functional.values[0].numel()
        rounding = gamma(terms + 4, functional.values.dtype)
        middle, spread = self.box.spent(functional, rows, 0, 1)
        _, reach = self.box.spent(functional, rows, 0, 2)
        least = down(down(middle - spread) - inflate(reach * rounding, terms))
        if self.ball is None:
            return least
        middle, reach = self.ball.spent(functional, rows, 0, 1)
        fall = up(_length_upper(functional.values.flatten(1)) * self.radius)
        fall = up(fall + inflate(reach * rounding, terms))
        return torch.maximum(least, down(middle - fall))


def _length_upper(values: Tensor) -> Tensor:
    """Upper bound on the l2 norm of each row, whose squares alone would under- or overflow."""
    peak = values.abs().amax(1, keepdim=True)
    whole = torch.where(peak > 0, peak, torch.ones_like(peak))
    length = torch.linalg.vector_norm(values / whole, dim=1)
    return inflate(inflate(length, values.shape[1] + 2) * peak[:, 0], 2)
