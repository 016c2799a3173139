"""The drift attack: how far apart two networks are seen to be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from lipcert.attacks.ascent import Searches, climb
from lipcert.attacks.field import Field, on_device
from lipcert.attacks.goals import Goals
from lipcert.attacks.labels import bisect, strengthen
from lipcert.attacks.networks import Networks
from lipcert.attacks.record import Record
from lipcert.attacks.replay import replay
from lipcert.certificate.observed import Observed
from lipcert.errors import BadInput, NotFinite
from lipcert.graph.pair import Pair
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region

Watch = Callable[[str, int, int], None]

SAMPLES = 4  # random members per row, seen before the searches
MOST_GOALS = 32  # drift goals searched per row; more outputs than that are chosen among
THIN = 2.0**-12  # a region thinner than this share of its inputs is searched in float64


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class DriftAttack:
    """Gradient ascent on the drift of every output, in both directions, and on label changes.

    Args:
        steps: most steps of one search.
        restarts: searches per goal: from the centre, then from random members; none only samples.
        seed: of the random members.
    """

    steps: int = 40
    restarts: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse counts that are not counts."""
        if self.steps < 0 or self.restarts < 0:
            got = f"{self.steps} and {self.restarts}"
            raise BadInput(f"DriftAttack: steps and restarts must not be negative, got {got}")

    def observe(
        self,
        pair: Pair,
        region: Region,
        placement: Placement,
        files: tuple[Path, Path] | None = None,
        watch: Watch = quiet,
    ) -> Observed:
        """Extreme drifts found, evaluated in float64 at exactly the members that are returned.

        Args:
            pair: both networks.
            region: one region per row.
            placement: device and memory; the search runs in float32 where that is fine enough.
            files: the two ONNX files, replayed by ONNX Runtime where given.
            watch: told the stage and how much of it is done.
        """
        shape = pair.original.input.shape
        if region.shape != shape:
            raise BadInput(f"region: inputs have shape {region.shape}, the networks read {shape}")
        field = _searched(self, pair, region, placement, watch)
        watch("attack: re-evaluate", 0, 1)
        observed = _observed(field, pair.original.output.shape, files)
        watch("attack: re-evaluate", 1, 1)
        return observed


def _searched(
    attack: DriftAttack, pair: Pair, region: Region, placement: Placement, watch: Watch
) -> Field:
    """A float64 field whose record holds the best members, as the search's dtype sees them."""
    precise = _field(pair, region, replace(placement, dtype=torch.float64))
    field = replace(precise, networks=precise.networks.hurried(_search_dtype(region)))
    centres = precise.centres
    rows, everyone = torch.arange(len(centres), device=centres.device), torch.arange(region.batch)
    generator = Generator().manual_seed(attack.seed)
    field.visit(centres, rows)
    for _ in range(SAMPLES):
        chance = region.sample(everyone, generator).to(centres)
        field.visit(field.member(chance, rows), rows)
    for restart in range(attack.restarts):
        starts = centres if restart == 0 else region.sample(everyone, generator).to(centres)
        climb(field, _searches(field, starts), attack.steps, _restart_of(attack, restart, watch))
    if field.goals.classifies:
        bisect(precise)
        strengthen(field, attack.steps)
    return precise


def _restart_of(attack: DriftAttack, restart: int, watch: Watch) -> Callable[[float], None]:
    """Progress of one restart as progress of all, in steps."""

    def told(share: float) -> None:
        done = round((restart + share) * attack.steps)
        watch("attack: search", done, attack.restarts * attack.steps)

    return told


def _search_dtype(region: Region) -> torch.dtype:
    """float32, unless it could not tell the members of the region apart."""
    hull = region.hull
    width, size = float((hull.upper - hull.lower).max()), float(hull.magnitude().max())
    return torch.float64 if width < THIN * size else torch.float32


def _searches(field: Field, starts: Tensor) -> Searches:
    """One per row and goal; of many outputs, those whose drift looks worst so far."""
    goals = field.goals
    drifts = 2 * goals.outputs
    columns = field.record.values[:, :drifts].topk(min(drifts, MOST_GOALS), 1).indices
    first = goals.largest if drifts > MOST_GOALS else goals.largest + 1
    others = torch.arange(first, min(goals.count, drifts + 3), device=columns.device)
    columns = torch.cat([columns, others.expand(len(columns), -1)], 1)
    rows = torch.arange(len(columns), device=columns.device)[:, None].expand_as(columns).flatten()
    return Searches(rows, columns.flatten(), starts[rows])


def _observed(field: Field, shape: tuple[int, ...], files: tuple[Path, Path] | None) -> Observed:
    """The field's best members in float64, compared afresh, and what a runtime makes of them."""
    final = replace(field, record=Record.empty(field.centres, field.goals.count))
    rows, points, _ = field.record.distinct()
    values = final.visit(points, rows)
    outputs, record = field.goals.outputs, final.record
    extremes = record.values[:, : 2 * outputs]
    if not bool(extremes.isfinite().all()):
        row = int((~extremes.isfinite()).any(1).nonzero()[0])
        raise NotFinite(f"attack: the networks overflow on the inputs of row {row}")
    differ = _differing(field.goals, rows, points, values)
    runtime, name = None, "not replayed"
    if files is not None:
        runtime, name = _replayed(files, record, outputs, shape)
        differ = _confirmed(files, differ)
    batch = (len(extremes), *shape)
    return Observed(
        drift=Interval(
            -extremes[:, outputs:].cpu().reshape(batch), extremes[:, :outputs].cpu().reshape(batch)
        ),
        lowest=record.points[:, outputs : 2 * outputs].cpu(),
        highest=record.points[:, :outputs].cpu(),
        disagreement=_first_per_row(differ, len(extremes)),
        runtime=runtime,
        runtime_name=name,
    )


Differing = tuple[Tensor, Tensor]  # rows, and points whose labels differ; the clearest first


def _differing(goals: Goals, rows: Tensor, points: Tensor, values: Tensor) -> Differing:
    """Points where f and g name different labels."""
    if not goals.classifies:
        return rows[:0].cpu(), points[:0].cpu()
    margin = values[:, goals.disagreement]
    order = margin.argsort(descending=True, stable=True)
    order = order[margin[order] > 0]
    return rows[order].cpu(), points[order].cpu()


def _confirmed(files: tuple[Path, Path], differ: Differing) -> Differing:
    """Those on which the runtime's labels differ too."""
    rows, points = differ
    if len(rows) == 0:
        return differ
    seen = replay(files, points)
    stays = seen.original.argmax(1) != seen.compressed.argmax(1)
    return rows[stays], points[stays]


def _first_per_row(differ: Differing, batch: int) -> tuple[Tensor | None, ...]:
    found: dict[int, Tensor] = {}
    for row, point in zip(differ[0].tolist(), differ[1], strict=True):
        found.setdefault(row, point)
    return tuple(found.get(row) for row in range(batch))


def _replayed(
    files: tuple[Path, Path], record: Record, outputs: int, shape: tuple[int, ...]
) -> tuple[Interval, str]:
    """The runtime's drift of each output at the very inputs of its extremes."""
    _, points, place = record.distinct()
    seen = replay(files, points)
    place = place.cpu()
    every = torch.arange(outputs)
    highest = seen.drift[place[:, :outputs], every]
    lowest = seen.drift[place[:, outputs : 2 * outputs], every]
    batch = (len(place), *shape)
    return Interval(lowest.reshape(batch), highest.reshape(batch)), seen.name


def _field(pair: Pair, region: Region, placement: Placement) -> Field:
    """Nothing visited yet, in float64."""
    near = on_device(region, placement.device)
    return Field.over(Networks.of(pair, placement), near, Goals.of(pair))
