"""MLPerf Tiny: float networks against their official int8 twins.

`weights only` has int8 weights and float activations; `qdq` quantises where the deployed network
does. Drifts are the largest magnitude over the outputs, ratios are proved over observed per
input; `sound` says that no observed drift lies outside its bounds. Memory is the whole process's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks import inputs
from benchmarks.proved import proved
from benchmarks.table import Report, begin
from lipcert import Box, Pair, load_pair

FLAGS = {
    "resnet": "also ic_resnet8: minutes for one image",
    "made": "also the anomaly autoencoder and the keyword spotter, on made inputs",
    "quick": "three inputs of sww instead of all",
}
SAMPLES = 45


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One pair over one region.

    Args:
        title: what the row is called.
        pair: f and g.
        region: boxes around inputs.
        runs: that a median of the bounds' time is taken over.
    """

    title: str
    pair: Pair
    region: Box
    runs: int = 1


def main() -> None:
    """All tables; what takes longest comes last."""
    report, path = begin("mlperf_tiny", __doc__, FLAGS)
    chosen = report.options.chosen
    report.start("sww_dscnn1d (wake word), inputs in 0..1, clipped to it")
    for case in of_sww(report):
        show(report, case)
    if "made" in chosen:
        report.start(
            "ad_autoencoder and kws_dscnn, eps in steps of the int8 input grid",
            "No real inputs are at hand: these are made, see benchmarks.inputs.made.",
        )
        for case in of_made_inputs(report.options.data / "mlperf_tiny"):
            show(report, case)
    if "resnet" in chosen:
        report.start("ic_resnet8 (CIFAR-10), first image, pixels in 0..255, clipped to it")
        for case in of_resnet(report.options.data):
            show(report, case)
    if path is not None:
        report.save(path)


def of_sww(report: Report) -> Iterator[Case]:
    """The first input alone, then all of them."""
    data, folder = report.options.data, report.options.data / "mlperf_tiny"
    count = 3 if "quick" in report.options.chosen else SAMPLES
    samples = inputs.sww(data, count)
    for twin in ("weights_only", "qdq"):
        pair = _pair(folder, "sww_dscnn1d_float", f"sww_dscnn1d_int8_{twin}")
        for name, eps in (("0", 0.0), ("0.1/255", 0.1 / 255), ("1/255", 1 / 255)):
            title = f"{twin}, eps {name}"
            yield Case(title, pair, _box(samples[:1], eps, 1.0), report.options.runs)
            yield Case(title, pair, _box(samples, eps, 1.0))


def of_made_inputs(folder: Path) -> Iterator[Case]:
    """One input as a point, and in a box of a tenth of a step."""
    for original, compressed in (
        ("ad_autoencoder_float", "ad_autoencoder_int8_qdq"),
        ("kws_dscnn_hybrid_as_float", "kws_dscnn_int8_qdq"),
    ):
        pair = _pair(folder, original, compressed)
        centres, step = inputs.made(pair.compressed, 1)
        for share in (0.0, 0.1):
            title = f"{compressed}, eps {share:g} steps"
            yield Case(title, pair, Box.around(centres, share * step))


def of_resnet(data: Path) -> Iterator[Case]:
    """One pixel step around the first image."""
    image = inputs.cifar(data, 1)
    for twin in ("weights_only", "qdq"):
        pair = _pair(data / "mlperf_tiny", "ic_resnet8_float", f"ic_resnet8_int8_{twin}")
        yield Case(f"{twin}, eps 1", pair, _box(image, 1.0, 255.0))


def show(report: Report, case: Case) -> None:
    """One row."""
    result = proved(case.pair, case.region, case.runs, report.options.threads)
    bounding, attacking = result.bounding, result.attacking
    report.row(
        {
            "pair": case.title,
            "inputs": case.region.batch,
            "certified": result.certified,
            "sound": result.sound,
            "first bound": float(result.bound[0]),
            "first seen": float(result.seen[0]),
            "mean bound": float(result.bound.mean()),
            "mean ratio": float(result.ratio.mean()),
            "max ratio": float(result.ratio.max()),
            "bounds CPU s": bounding.cpu_seconds,
            "bounds wall s": bounding.wall_seconds,
            "attack CPU s": attacking.cpu_seconds,
            "peak MiB": max(bounding.peak_mib, attacking.peak_mib),
        }
    )


def _pair(folder: Path, original: str, compressed: str) -> Pair:
    return load_pair(folder / f"{original}.onnx", folder / f"{compressed}.onnx")


def _box(centres: np.ndarray | Tensor, eps: float, top: float) -> Box:
    return Box.around(centres, eps, clip=(0.0, top))


if __name__ == "__main__":
    main()
