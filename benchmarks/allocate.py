"""Mixed precision by proof against the same bits everywhere.

For each network, D is first the drift that 6 or 4 bits everywhere certify: the allocation has the
same certified drift, or less, in `allocated` bytes instead of `uniform`. Then D lies between (the
geometric mean of two neighbours), as a drift that a user asks for does: uniform bits must be the
wider of the two. Bytes are those of codes, scales, widths and everything that stays float; `file`
is what the ONNX file has, in which a layer's codes take 4 bits, or 8 where one has more. `bits` is
the mean over the weights of each layer, in their order.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import lipcert
from benchmarks import inputs
from benchmarks.table import Report, begin
from lipcert import Box, Placement
from lipcert.compress.bench import Bench
from lipcert.compress.codes import WIDTHS
from lipcert.read import read_onnx

DIGITS = Path(__file__).resolve().parents[1] / "examples" / "digits"
FLAGS = {"quick": "the dense networks and the shipped one only"}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A network and the region that is asked about."""

    title: str
    model: Path
    region: Box


def main() -> None:
    """One table."""
    report, path = begin("allocate", __doc__, FLAGS)
    report.start("weight bits per channel against uniform bits, at equal certified drift")
    for case in cases(report):
        rows(report, case)
    if path is not None:
        report.save(path)


def cases(report: Report) -> Iterator[Case]:
    """From dense to convolutional."""
    data = report.options.data
    region = Box.around(inputs.mnist(data, 5), 1 / 255, (0.0, 1.0))
    yield Case("MNIST, 1/255", data / "mnist/mnist_relu_3_100.onnx", region)
    region = Box.around(inputs.har(data, 5), 0.01, (-1.0, 1.0))
    yield Case("HAR, 0.01", data / "har/HAR_561x500x6.onnx", region)
    with np.load(DIGITS / "inputs.npz") as stored:
        region = Box.around(stored["x"], 0.01, (0.0, 1.0))
    yield Case("digits (shipped), 0.01", DIGITS / "model.onnx", region)
    if "quick" in report.options.chosen:
        return
    folder = data / "mlperf_tiny"
    region = Box.around(inputs.sww(data, 2), 0.1 / 255, (0.0, 1.0))
    yield Case("sww, 0.1/255", folder / "sww_dscnn1d_float.onnx", region)
    grid = read_onnx(folder / "ad_autoencoder_int8_qdq.onnx")
    region = Box.around(inputs.made(grid, 1), 0.1 * inputs.step(grid))
    yield Case("ad_autoencoder, 0.1 steps", folder / "ad_autoencoder_float.onnx", region)


def rows(report: Report, case: Case) -> None:
    """Equal drift, then drifts between those of uniform bits."""
    with TemporaryDirectory() as scratch:
        place = Path(scratch) / "candidate.onnx"
        bench = Bench.of(case.model, case.region, Placement(), place)
        drifts = {width: bench.largest(bench.everywhere(width)) for width in WIDTHS[:-1]}
        for wide, narrow in pairwise(WIDTHS[:-1]):
            between = math.sqrt(drifts[wide] * drifts[narrow])
            row(report, case, f"{wide} to {narrow}", between, bench.size(bench.everywhere(wide)))
            size = bench.size(bench.everywhere(narrow))
            row(report, case, f"as {narrow} bits", drifts[narrow], size)


def row(report: Report, case: Case, asked: str, allowed: float, uniform: int) -> None:
    """One allowed drift."""
    start = time.process_time()
    with TemporaryDirectory() as folder:
        made = lipcert.allocate(case.model, case.region, allowed, folder)
        seen = made.certificate.observed_drift
        assert seen is not None
        report.row(
            {
                "network, region: D": f"{case.title}: {asked}",
                "D": allowed,
                "proved": float(made.certificate.max_drift.max()),
                "seen": float(seen.max()),
                "uniform": uniform,
                "allocated": made.size,
                "saved %": 100 * (1 - made.size / uniform),
                "file": made.file_sizes[1],
                "bits": " ".join(f"{np.mean(layer.bits):.1f}" for layer in made.layers),
                "CPU s": time.process_time() - start,
            }
        )


if __name__ == "__main__":
    main()
