"""QEBVerif's questions: how far can a fixed-point MNIST network drift in the predicted class?

Region: integer pixels within 3 of each input, cut to 0..255. `width` is the mean over the inputs of
the proved interval of g - f in the class that the float network predicts, which alone is asked
for, and `twin width` what twin bounds give without quadratic terms; `proved r` and
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
    only,
    quantised_network,
    read,
    widths,
)
from benchmarks.measured import measured
from benchmarks.table import Report, begin
from lipcert import Grid, Pair, Placement
from lipcert.attacks.drift import DriftAttack
from lipcert.methods.base import Method
from lipcert.methods.quadratic import QuadraticBounds
from lipcert.methods.twin import TwinBounds
from lipcert.sets.enclosure import Interval

RADIUS, QUESTIONS, SAMPLES = 3.0, (1, 2, 4, 6, 8), 1000
LIMITS = (0.0, 255.0)


def main() -> None:
    """Every archive of the folder, every width in it."""
    report, path = begin("qebverif", __doc__, {})
    folder = report.options.data
    folder = folder / "qebverif" if (folder / "qebverif").is_dir() else folder
    pixels = np.load(folder / "inputs10.npz")["x"].astype(np.float64)
    report.start(
        f"Fixed-point networks, +-{RADIUS:g} around {len(pixels)} inputs", str(folder.name)
    )
    for archive in sorted(folder.glob("*blk*.npz")):
        arrays = read(archive)
        for bits in widths(arrays):
            question(report, archive.stem, arrays, bits, pixels)
    if path is not None:
        report.save(path)


def question(report: Report, name: str, arrays: Arrays, bits: int, pixels: np.ndarray) -> None:
    """One network at one width."""
    pair = _pair(arrays, bits)
    classes, options = pair.original(torch.from_numpy(pixels)).argmax(1), report.options

    def bound(method: Method, radius: float = RADIUS) -> Interval:
        return _of_classes(method, arrays, bits, pixels, classes, radius)

    bounding = measured(lambda: bound(QuadraticBounds()), options.runs, options.threads)
    drift, twin = bounding.value, bound(TwinBounds())
    seen = _seen(pair, Grid.around(pixels, RADIUS, LIMITS), arrays, bits, classes)
    size, found = drift.magnitude(), seen.magnitude()
    row: dict[str, str | int | float | bool | None] = {
        "network": f"{name}, Q = {bits}",
        "width": float((drift.upper - drift.lower).mean()),
        "twin width": float((twin.upper - twin.lower).mean()),
        "seen width": float((seen.upper - seen.lower).mean()),
        "s per input": bounding.wall_seconds / len(pixels),
        "CPU s per input": bounding.cpu_seconds / len(pixels),
    }
    row |= {f"proved {r}": int((size <= r).sum()) for r in QUESTIONS}
    row |= {f"refuted {r}": int((found > r).sum()) for r in QUESTIONS}
    truth = _integer_drift(pair, arrays, bits, torch.from_numpy(pixels))
    row["exact"] = _exact(bound(QuadraticBounds(), 0.0), truth, classes)
    row["sound"] = bool(((seen.lower >= drift.lower) & (seen.upper <= drift.upper)).all())
    report.row(row)


def _pair(arrays: Arrays, bits: int) -> Pair:
    return Pair.of(float_network(arrays, "float"), quantised_network(arrays, bits, f"Q{bits}"))


def _of_classes(
    method: Method, arrays: Arrays, bits: int, pixels: np.ndarray, classes: Tensor, radius: float
) -> Interval:
    """Bounds of each input's drift in its own class, (inputs,)."""
    drift = torch.full((2, len(pixels)), torch.nan, dtype=torch.float64)
    for output in classes.unique().tolist():
        rows = classes == output
        region = Grid.around(pixels[rows.numpy()], radius, LIMITS)
        bounds = method.certify(_pair(only(arrays, output), bits), region, Placement()).drift
        drift[:, rows] = torch.stack([bounds.lower[:, 0], bounds.upper[:, 0]])
    return Interval(*drift)


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


def _exact(drift: Interval, truth: Tensor, classes: Tensor) -> bool:
    """Whether bounds at the inputs hold the integer drift and nothing visible beside it."""
    own = truth[torch.arange(len(classes)), classes]
    inside = (drift.lower <= own) & (own <= drift.upper)
    return bool(inside.all()) and float((drift.upper - drift.lower).max()) < 1e-9


if __name__ == "__main__":
    main()
