"""QEBVerif's questions: how far can a fixed-point MNIST network drift in the predicted class?

Region: integer pixels within 3 of each input, cut to 0..255. `width` is the mean over the inputs of
the proved interval of g - f in the class that the float network predicts; `proved r` and
`refuted r` count the inputs whose drift is proved within r, or seen beyond it. `exact` says that
at the inputs themselves the bound is the integer evaluation, `sound` that random grid points and
the attack's best points, evaluated in integers, lie inside; neither has a tolerance beyond the
rounding of the float network's own float64 evaluation.
"""

import numpy as np
import torch
from torch import Tensor

from benchmarks.fixed_point import (
    Arrays,
    float_network,
    integers,
    quantised_network,
    read,
    widths,
)
from benchmarks.measured import measured
from benchmarks.table import Report, begin
from lipcert import Grid, Pair, Placement
from lipcert.attacks.drift import DriftAttack
from lipcert.methods.twin import TwinBounds
from lipcert.sets.enclosure import Interval

RADIUS, QUESTIONS, SAMPLES = 3, (1, 2, 4, 6, 8), 1000


def main() -> None:
    """Every archive of the folder, every width in it."""
    report, path = begin("qebverif", __doc__, {})
    folder = report.options.data
    folder = folder / "qebverif" if (folder / "qebverif").is_dir() else folder
    pixels = np.load(folder / "inputs10.npz")["x"].astype(np.float64)
    report.start(f"Fixed-point networks, +-{RADIUS} around {len(pixels)} inputs", str(folder.name))
    for archive in sorted(folder.glob("*blk*.npz")):
        arrays = read(archive)
        for bits in widths(arrays):
            question(report, archive.stem, arrays, bits, pixels)
    if path is not None:
        report.save(path)


def question(report: Report, name: str, arrays: Arrays, bits: int, pixels: np.ndarray) -> None:
    """One network at one width."""
    pair = Pair.of(float_network(arrays, name), quantised_network(arrays, bits, f"{name} Q{bits}"))
    region = Grid.around(pixels, RADIUS, (0.0, 255.0))
    options = report.options
    bounding = measured(
        lambda: TwinBounds().certify(pair, region, Placement()).drift, options.runs, options.threads
    )
    classes = pair.original(torch.from_numpy(pixels)).argmax(1)
    drift = _of_class(bounding.value, classes)
    seen = _seen(pair, region, arrays, bits, classes)
    width, size = drift.upper - drift.lower, drift.magnitude()
    found = seen.magnitude()
    row: dict[str, str | int | float | bool | None] = {
        "network": f"{name}, Q = {bits}",
        "width": float(width.mean()),
        "seen width": float((seen.upper - seen.lower).mean()),
        "s per input": bounding.wall_seconds / len(pixels),
    }
    row |= {f"proved {r}": int((size <= r).sum()) for r in QUESTIONS}
    row |= {f"refuted {r}": int((found > r).sum()) for r in QUESTIONS}
    row["exact"] = _exact_at_points(pair, arrays, bits, pixels)
    row["sound"] = bool(((seen.lower >= drift.lower) & (seen.upper <= drift.upper)).all())
    report.row(row)


def _seen(pair: Pair, region: Grid, arrays: Arrays, bits: int, classes: Tensor) -> Interval:
    """Extreme drifts of the predicted class over random grid points and the attack's best."""
    best = DriftAttack().observe(pair, region, Placement())
    rows = torch.arange(region.batch)
    generator = torch.Generator().manual_seed(0)
    points = [best.lowest[rows, classes], best.highest[rows, classes]]
    points += [region.sample(rows, generator) for _ in range(SAMPLES)]
    drifts = torch.stack([_integer_drift(pair, arrays, bits, x)[rows, classes] for x in points])
    return Interval(drifts.amin(0), drifts.amax(0))


def _integer_drift(pair: Pair, arrays: Arrays, bits: int, points: Tensor) -> Tensor:
    """Integer evaluation of g less float64 evaluation of f."""
    return torch.from_numpy(integers(arrays, bits, points.numpy())) - pair.original(points)


def _exact_at_points(pair: Pair, arrays: Arrays, bits: int, pixels: np.ndarray) -> bool:
    """Whether bounds at the inputs hold the integer drift and nothing visible beside it."""
    points = torch.from_numpy(pixels)
    drift = TwinBounds().certify(pair, Grid.around(pixels, 0.0, (0.0, 255.0)), Placement()).drift
    truth = _integer_drift(pair, arrays, bits, points)
    inside = (drift.lower <= truth) & (truth <= drift.upper)
    return bool(inside.all()) and float((drift.upper - drift.lower).max()) < 1e-9


def _of_class(drift: Interval, classes: Tensor) -> Interval:
    rows = torch.arange(len(classes))
    return Interval(drift.lower[rows, classes], drift.upper[rows, classes])


if __name__ == "__main__":
    main()
