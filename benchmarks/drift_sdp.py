"""The drift SDP beside other bounds: ReLU networks trained on digits, l2 balls around one image.

Drift is the largest over the outputs, or the l2 norm of all of them. `seen` is what the attack
found, its norm what gradient ascent on the norm makes of the points it found and of random ones;
`L(f) + L(g)` is the norm's bound from both proved Lipschitz constants over the ball and the drift
at its centre. CPU seconds are those of all bounds of the SDP: the norm, and both sides of every
output.
"""

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
RADII = (0.03, 0.1, 0.3, 1.0)
ATTACK = DriftAttack(steps=100, restarts=20)
STARTS, CLIMB = 100, 200  # of ascents on the norm, and steps of each
FLAGS = {"long": "ten minutes for the SDP of every row instead of one"}


def main() -> None:
    """The table."""
    report, path = begin("drift_sdp", __doc__, FLAGS)
    limit = 600.0 if "long" in report.options.chosen else 60.0
    report.start("Drift over l2 balls around the first digit, pixels in 0..1",
                 f"At most {limit:.0f} s for the searches of a row.")  # fmt: skip
    centre = digits()[0][:1].double()
    for sizes in NETWORKS:
        graph = read_module(trained_module(sizes), (sizes[0],))
        pairs = {f"{bits} bits": rounded_pair(graph, bits) for bits in (8, 4)}
        for name, pair in (pairs | {"50 % pruned": pruned_pair(graph, 0.5)}).items():
            for eps in RADII:
                title = f"{'-'.join(map(str, sizes))}, {name}, {eps:g}"
                row(report, title, pair, Ball.around(centre, eps), limit)
    if path is not None:
        report.save(path)


def row(report: Report, title: str, pair: Pair, region: Ball, limit: float) -> None:
    """All bounds of one pair over one ball."""
    options, method = report.options, DriftSdp(limit_seconds=limit)
    sdp = measured(lambda: method.certify(pair, region, Placement()), threads=options.threads)
    twin, crown = (
        largest(bounded(pair, region, other, 1, options.threads).value)
        for other in (TwinBounds(), Crown())
    )
    seen = ATTACK.observe(pair, region, Placement())
    drift, norm = sdp.value.drift, sdp.value.norm
    assert norm is not None
    found = float(seen.drift.magnitude().max())
    length = climbed(pair, region, torch.cat([seen.lowest, seen.highest]).flatten(0, 1))
    inside = (seen.drift.lower >= drift.lower) & (seen.drift.upper <= drift.upper)
    report.row(
        {
            "network, compression, radius": title,
            "seen": found,
            "SDP": float(largest(drift)),
            "twin": float(twin),
            "CROWN": float(crown),
            "SDP / seen": float(largest(drift)) / found,
            "norm seen": length,
            "norm SDP": float(norm),
            "L(f) + L(g)": by_constants(pair, region),
            "norm SDP / seen": float(norm) / length,
            "CPU s": sdp.cpu_seconds,
            "sound": bool(inside.all()) and length <= float(norm),
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
