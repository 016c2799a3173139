"""The observed side: gradient ascent on the norm of the Jacobian."""

from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from lipcert.attacks.fast import fast
from lipcert.errors import BadInput
from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.quotient import quotients
from lipcert.lipschitz.tangent import jacobians, tangent
from lipcert.numeric.norm import Norm
from lipcert.numeric.placement import Placement
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch

WIDTHS = 3.0, 0.02  # of the smoothed kinks, first and last
SHARES = 0.3, 0.003  # of the region's width, or of a start's own size, moved by a step
SPREAD = 2  # decades to either side of one, over which starts anywhere are spread
STEPS = tuple(10.0**-k for k in range(1, 8))  # of difference quotients, as shares
SNAPSHOTS = 4  # of all searches, on their way
FINALISTS = 3  # starts per row whose quotients are proved
FEW = 64  # outputs up to which whole Jacobians are computed
MOMENTUM = 0.7
KEPT = 12  # copies of a node's value during a step
MOST_BYTES = 2**30


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The largest difference quotient found in each row, with the inputs that show it.

    Args:
        quotient: (rows,) float64, rounded down.
        first: (rows, *shape).
        second: likewise.
    """

    quotient: Tensor
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Ascent:
    """Ascent on point and direction together: the direction by power iteration.

    Args:
        steps: of one search.
        starts: searches per row.
        seed: of the starts.
    """

    steps: int = 100
    starts: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse counts that are not counts."""
        if self.steps < 0 or self.starts < 1:
            got = f"{self.steps} and {self.starts}"
            raise BadInput(f"Ascent: steps must be 0 or more and starts 1 or more, got {got}")

    def observe(
        self,
        graph: LayerGraph,
        region: Region | None,
        norm: Norm,
        placement: Placement,
        watch: Watch,
    ) -> Seen:
        """True lower bounds of the Lipschitz constant in each region, or anywhere.

        A KeyboardInterrupt from `watch` ends the ascent with what it has found.
        """
        parts: list[Seen] = []
        batch = 1 if region is None else region.batch
        size = max(1, _points_that_fit(graph, placement) // self.starts)
        for first in range(0, batch, size):
            part = None if region is None else region.part(slice(first, first + size))
            parts.append(self._part(graph, part, norm, watch))
        return Seen(
            torch.cat([p.quotient for p in parts]),
            torch.cat([p.first for p in parts]),
            torch.cat([p.second for p in parts]),
        )

    def _part(self, graph: LayerGraph, region: Region | None, norm: Norm, watch: Watch) -> Seen:
        search = _started(self, graph, region, norm)
        quick, passed = fast(graph, torch.float32), [search]
        with suppress(KeyboardInterrupt):
            for step in range(self.steps):
                watch(f"ascent on {graph.source}", step, self.steps)
                search = _stepped(quick, search, step / self.steps)
                if (step + 1) * SNAPSHOTS % self.steps < SNAPSHOTS:
                    passed.append(search)
        return _proved(graph, _joined(passed, 1 if region is None else region.batch))


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Starts side by side, `starts` of each row in turn; all (points, *shape), float64."""

    region: Region | None
    norm: Norm
    rows: Tensor
    sizes: Tensor
    points: Tensor
    directions: Tensor
    course: Tensor

    def members(self, points: Tensor) -> Tensor:
        """Of the region."""
        return points if self.region is None else self.region.project(points, self.rows)

    def where(self, chosen: Tensor) -> "_Search":
        """Some of them."""
        names = ("rows", "sizes", "points", "directions", "course")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


def _joined(searches: list[_Search], batch: int) -> _Search:
    """All of them side by side, those of one row in turn."""

    def side_by_side(name: str) -> Tensor:
        every = torch.stack([getattr(search, name) for search in searches], 1)
        return every.unflatten(0, (batch, -1)).flatten(0, 2)

    names = ("rows", "sizes", "points", "directions", "course")
    return replace(searches[0], **{name: side_by_side(name) for name in names})


def _started(ascent: Ascent, graph: LayerGraph, region: Region | None, norm: Norm) -> _Search:
    generator = Generator().manual_seed(ascent.seed)
    shape, starts = graph.input.shape, ascent.starts
    rows = torch.arange(1 if region is None else region.batch).repeat_interleave(starts)
    if region is None:
        sizes = 10 ** torch.linspace(-SPREAD, SPREAD, starts, dtype=torch.float64)
        sizes = sizes.view(-1, *[1] * len(shape)).expand(-1, *shape)
        points = sizes * torch.randn(starts, *shape, generator=generator).double()
    else:
        hull = region.hull
        sizes = (hull.upper - hull.lower)[rows]
        points = region.sample(rows, generator)
        points[::starts] = region.project(hull.centre, torch.arange(region.batch))
    noise = torch.randn(len(rows), *shape, generator=generator).double()
    directions = norm.dual(noise.flatten(1)).view_as(noise)
    return _Search(region, norm, rows, sizes, points, directions, torch.zeros_like(noise))


def _stepped(graph: LayerGraph, search: _Search, done: float) -> _Search:
    """After one evaluation: a power iteration of the direction, and a move of the point."""
    width, share = (a * (b / a) ** done for a, b in (WIDTHS, SHARES))
    with torch.enable_grad():
        points, directions = (
            x.float().requires_grad_() for x in (search.points, search.directions)
        )
        length = search.norm.of(tangent(graph, points, directions, width)).sum()
        uphill, along = torch.autograd.grad(
            length, (points, directions), allow_unused=True, materialize_grads=True
        )
    along = along.double().nan_to_num(0.0, 0.0, 0.0)
    idle = _column((along.flatten(1) == 0).all(1), along)
    turned = search.norm.dual(along.flatten(1)).view_as(along)
    directions = torch.where(idle, search.directions, turned)
    uphill = uphill.double().nan_to_num(0.0, 0.0, 0.0)
    typical = uphill.abs().flatten(1).mean(1).clamp(min=1e-300)
    course = MOMENTUM * search.course + uphill / _column(typical, uphill)
    moved = search.points + share * search.sizes * course.clamp(-3, 3)
    return replace(search, points=search.members(moved), directions=directions, course=course)


def _proved(graph: LayerGraph, search: _Search) -> Seen:
    """The best quotient of each row among those that are proved."""
    shape = search.points.shape[1:]
    search = _with_best_directions(graph, search)
    count = len(search.rows) // (int(search.rows.max()) + 1)
    kept = min(FINALISTS, count)
    slope = _slopes(graph, search).view(-1, count)
    best = slope.topk(kept, 1).indices + torch.arange(0, len(search.rows), count)[:, None]
    pairs = [_ends(search.where(best.flatten()), share) for share in STEPS]
    first, second = (torch.stack(ends, 1) for ends in zip(*pairs, strict=True))
    found = quotients(graph, first.flatten(0, 1), second.flatten(0, 1), search.norm)
    quotient, place = found.view(-1, kept * len(STEPS)).max(1)
    rows = torch.arange(len(quotient))
    return Seen(
        quotient,
        first.reshape(len(rows), -1, *shape)[rows, place],
        second.reshape(len(rows), -1, *shape)[rows, place],
    )


def _with_best_directions(graph: LayerGraph, search: _Search) -> _Search:
    """Directions along which the derivative at each point is largest, where outputs are few."""
    if torch.Size(graph.output.shape).numel() > FEW:
        return search
    entries = jacobians(graph, search.points)
    if search.norm is Norm.TWO:
        directions = torch.linalg.svd(entries, full_matrices=False).Vh[:, 0]
    elif search.norm is Norm.MAX:
        place = entries.abs().sum(2).argmax(1)
        directions = search.norm.dual(entries[torch.arange(len(entries)), place])
    else:
        directions = search.norm.dual(entries.abs().sum(1))
    return replace(search, directions=directions.view_as(search.points))


def _slopes(graph: LayerGraph, search: _Search) -> Tensor:
    """Norm of the derivative along each direction."""
    change = tangent(graph, search.points, search.directions, 1e-9)
    return search.norm.of(change).nan_to_num(0.0, 0.0, 0.0)


def _ends(search: _Search, share: float) -> tuple[Tensor, Tensor]:
    """Two members to either side of each point, or to one side where the other is no member."""
    longest = search.directions.abs().flatten(1).amax(1).clamp(min=1e-300)
    reach = share * search.sizes.flatten(1).amax(1) / longest
    step = search.directions * _column(reach, search.points)
    return search.members(search.points - step), search.members(search.points + step)


def _column(values: Tensor, like: Tensor) -> Tensor:
    """One value per point, to broadcast against points."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _points_that_fit(graph: LayerGraph, placement: Placement) -> int:
    values = sum(torch.Size(node.shape).numel() for node in graph.nodes)
    return max(1, min(placement.budget() // 2, MOST_BYTES) // (KEPT * 4 * values))
