"""The drift SDP beside other bounds: ReLU networks trained on digits, l2 balls around images.

Drift is the largest over the outputs, or the l2 norm of all of them; of several images a row
shows means, and of the ratios to what was seen median and worst. `seen` is what the attack
found, its norm what gradient ascent on the norm makes of the points it found and of random ones;
`L(f) + L(g)` is the norm's bound from both proved Lipschitz constants over the ball and the drift
at its centre. CPU seconds are those of all bounds of the SDP: the norm, and both sides of every
output.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

import torch
from torch import Tensor

import lipcert
from benchmarks.measured import measured
from benchmarks.mlps import digits, trained_module
from benchmarks.proved import bounded, largest
from benchmarks.rounded import pruned_pair, rounded_pair
from benchmarks.table import Report, begin
from lipcert import Ball, Pair, Placement
from lipcert.attacks.drift import DriftAttack
from lipcert.lipschitz import Effort
from lipcert.lipschitz.ascent import Ascent
from lipcert.methods.crown import Crown
from lipcert.methods.sdp import DriftSdp
from lipcert.methods.twin import TwinBounds
from lipcert.read import read_module

NETWORKS = ((64, 32, 32, 10), (64, 64, 64, 64, 64, 10))
IMAGES = {0.03: 5, 0.1: 5, 0.3: 5, 1.0: 1}  # by radius
ATTACK = DriftAttack(steps=100, restarts=20)
STARTS, CLIMB = 100, 200  # of ascents on the norm, and steps of each
FLAGS = {"long": "ten minutes for the SDP of every row instead of one"}


def main() -> None:
    """The table."""
    report, path = begin("drift_sdp", __doc__, FLAGS)
    limit = 600.0 if "long" in report.options.chosen else 60.0
    report.start("Drift over l2 balls around the first digits, pixels in 0..1",
                 f"At most {limit:.0f} s for the searches of an image.")  # fmt: skip
    images = digits()[0].double()
    for sizes in NETWORKS:
        graph = read_module(trained_module(sizes), (sizes[0],))
        pairs = {f"{bits} bits": rounded_pair(graph, bits) for bits in (8, 4)}
        for name, pair in (pairs | {"50 % pruned": pruned_pair(graph, 0.5)}).items():
            for eps, count in IMAGES.items():
                balls = [Ball.around(image, eps) for image in images[:count].split(1)]
                title = f"{'-'.join(map(str, sizes))}, {name}, {eps:g}"
                row(report, title, [bounds(report, pair, ball, limit) for ball in balls])
    if path is not None:
        report.save(path)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one pair over one ball: proved and seen, of the largest output and of the l2 norm."""

    seen: float
    sdp: float
    twin: float
    crown: float
    norm_seen: float
    norm: float
    constants: float
    cpu_seconds: float
    sound: bool


def bounds(report: Report, pair: Pair, region: Ball, limit: float) -> Bounds:
    """All of them."""
    options, method = report.options, DriftSdp(limit_seconds=limit)
    sdp = measured(lambda: method.certify(pair, region, Placement()), threads=options.threads)
    twin, crown = (
        float(largest(bounded(pair, region, other, 1, options.threads).value))
        for other in (TwinBounds(), Crown())
    )
    seen = ATTACK.observe(pair, region, Placement())
    drift, norm = sdp.value.drift, sdp.value.norm
    assert norm is not None
    found = float(seen.drift.magnitude().max())
    length = climbed(pair, region, torch.cat([seen.lowest, seen.highest]).flatten(0, 1))
    inside = (seen.drift.lower >= drift.lower) & (seen.drift.upper <= drift.upper)
    sound = bool(inside.all()) and length <= float(norm)
    constants = by_constants(pair, region)
    return Bounds(found, float(largest(drift)), twin, crown, length, float(norm), constants,
                  sdp.cpu_seconds, sound)  # fmt: skip


def row(report: Report, title: str, every: Sequence[Bounds]) -> None:
    """Of one pair at one radius."""
    outputs = [b.sdp / b.seen for b in every]
    lengths = [b.norm / b.norm_seen for b in every]
    report.row(
        {
            "network, compression, radius": title,
            "images": len(every),
            "seen": mean(b.seen for b in every),
            "SDP": mean(b.sdp for b in every),
            "twin": mean(b.twin for b in every),
            "CROWN": mean(b.crown for b in every),
            "SDP / seen": median(outputs),
            "worst": max(outputs),
            "norm seen": mean(b.norm_seen for b in every),
            "norm SDP": mean(b.norm for b in every),
            "L(f) + L(g)": mean(b.constants for b in every),
            "norm SDP / seen": median(lengths),
            "worst norm": max(lengths),
            "CPU s": mean(b.cpu_seconds for b in every),
            "sound": all(b.sound for b in every),
        }
    )


def norms(pair: Pair, points: Tensor) -> float:
    """The largest l2 norm of the drift at some points."""
    return float((pair.compressed(points) - pair.original(points)).norm(dim=1).max())


def climbed(pair: Pair, region: Ball, points: Tensor) -> float:
    """The largest l2 norm of the drift on the way from these points, and from random ones, up."""
    rows = torch.zeros(len(points) + STARTS, dtype=torch.long)
    chance = region.sample(rows[:STARTS], torch.Generator().manual_seed(0))
    points, best = torch.cat([points, chance]), 0.0
    for step in range(CLIMB):
        points = points.detach().requires_grad_()
        length = (pair.compressed(points) - pair.original(points)).norm(dim=1)
        best = max(best, float(length.detach().max()))
        (slope,) = torch.autograd.grad(length.sum(), points)
        far = region.radius * 0.2 * (1 - step / CLIMB)
        moved = points.detach() + far * slope / slope.norm(dim=1, keepdim=True).clamp(min=1e-30)
        points = region.project(moved, rows)
    return best


def by_constants(pair: Pair, region: Ball) -> float:
    """Radius times the sum of both constants, and the drift at the centre."""
    effort = Effort(ascent=Ascent(steps=0, starts=1))
    both = (lipcert.lipschitz(g, region=region, effort=effort).upper
            for g in (pair.original, pair.compressed))  # fmt: skip
    return sum(both) * region.radius + norms(pair, region.centre)


if __name__ == "__main__":
    main()
