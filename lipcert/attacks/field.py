"""Goals as functions on a region: members, values and directions of ascent."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from lipcert.attacks.goals import Goals
from lipcert.attacks.networks import Networks
from lipcert.attacks.record import Record
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Every goal at every member of a region.

    Args:
        networks: both networks.
        region: on the networks' device.
        goals: what is looked for.
        centres: a member per row, (rows, *shape).
        reference: a label per row, (rows,).
        record: what every visited point is counted in.
    """

    networks: Networks
    region: Region
    goals: Goals
    centres: Tensor
    reference: Tensor
    record: Record

    @classmethod
    def over(cls, networks: Networks, region: Region, goals: Goals) -> "Field":
        """Nothing visited yet; the reference is f's label at the centres."""
        hull = region.hull
        rows = torch.arange(len(hull.lower), device=hull.lower.device)
        centres = _member(region, hull.centre, rows)
        empty = Record.empty(centres, goals.count)
        field = cls(networks, region, goals, centres, rows, empty)
        with torch.no_grad():
            labels = [
                networks.respond(centres[part]).original_scores.argmax(1)
                for part in field.parts(len(rows))
            ]
        return replace(field, reference=torch.cat(labels))

    def visit(self, points: Tensor, rows: Tensor) -> Tensor:
        """Goals (points, goals) at members of the region; counted."""
        values: list[Tensor] = []
        with torch.no_grad():
            for part in self.parts(len(rows)):
                response = self.networks.respond(points[part])
                values.append(self.goals.values(response, self.reference[rows[part]]))
                self.record.add(rows[part], points[part], values[-1])
        return torch.cat(values)

    def slope(self, points: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Gradient of one goal per point; counted for all goals. One batch, not split."""
        with torch.enable_grad():
            moving = points.detach().clone().requires_grad_()
            values = self.goals.values(self.networks.respond(moving), self.reference[rows])
            chosen = values.gather(1, columns[:, None])
            (gradient,) = torch.autograd.grad(chosen.sum(), moving)
        self.record.add(rows, points, values)
        return gradient

    def member(self, points: Tensor, rows: Tensor) -> Tensor:
        """Members of the region near `points`; in float32 wherever one is that near."""
        return _member(self.region, points, rows)

    def parts(self, count: int) -> Iterator[slice]:
        """Slices of at most as many points as memory allows."""
        most = self.networks.most_points()
        return (slice(first, first + most) for first in range(0, count, most))


def on_device(region: Region, device: torch.device) -> Region:
    """The same region with its tensors on a device."""
    found = ((f.name, getattr(region, f.name)) for f in fields(region))  # type: ignore[arg-type] - all are
    moved = {name: value.to(device) for name, value in found if isinstance(value, Tensor)}
    return replace(region, **moved)  # type: ignore[type-var] - dataclasses


def _member(region: Region, points: Tensor, rows: Tensor) -> Tensor:
    """Members that a float32 runtime reads unchanged, wherever there are any."""
    members, hull, ball = region.project(points, rows), region.hull, region.ball()
    lower, upper = hull.lower[rows], hull.upper[rows]
    if ball is not None:
        inside = _well_inside(members, ball[0][rows], ball[1])
        return _nearer(inside.maximum(lower).minimum(upper), ball[0][rows])
    short = members.float()
    short = torch.where(short > upper, _next(short, -torch.inf), short)
    short = torch.where(short < lower, _next(short, torch.inf), short).double()
    return torch.where(region.project(short, rows) == short, short, members)


def _well_inside(points: Tensor, centres: Tensor, radius: float) -> Tensor:
    """Drawn towards the centres by what rounding a small step onto a large centre can add."""
    size = torch.maximum(points.abs(), centres.abs()).flatten(1)
    slack = 2 * torch.finfo(points.dtype).eps * torch.linalg.vector_norm(size, dim=1)
    share = (1 - slack / max(radius, 1e-300)).clamp(min=0)
    return centres + (points - centres) * share.view(-1, *[1] * (points.ndim - 1))


def _nearer(points: Tensor, centres: Tensor) -> Tensor:
    """In float32 wherever such a number lies between a coordinate and the centre's."""
    far, short = (points - centres).abs(), points.float()
    beyond = (short.double() - centres).abs() > far
    short = torch.where(beyond, torch.nextafter(short, centres.float()), short).double()
    return torch.where((short - centres).abs() > far, points, short)


def _next(values: Tensor, towards: float) -> Tensor:
    return torch.nextafter(values, values.new_tensor(towards))
