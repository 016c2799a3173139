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
    "samples": "also sww on all 45 inputs, with int8 weights alone as well",
}
SAMPLES = 45
STEPS = (0.0, 0.1, 1.0, 2.0)


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
    report.start(
        "int8 networks against float, eps in steps of the int8 input",
        "No real inputs of ad and kws are at hand: see benchmarks.inputs.made.",
    )
    for case in of_steps(report):
        show(report, case)
    if "samples" in chosen:
        report.start("sww (wake word), inputs in 0..1, clipped to it")
        for case in of_samples(report):
            show(report, case)
    if "resnet" in chosen:
        report.start("ic_resnet8 (CIFAR-10), first image, pixels in 0..255, clipped to it")
        for case in of_weights(report.options.data):
            show(report, case)
    if path is not None:
        report.save(path)


def of_steps(report: Report) -> Iterator[Case]:
    """The official int8 twins, at points and in boxes of a few input steps; the slowest last."""
    data, folder = report.options.data, report.options.data / "mlperf_tiny"
    pair = _pair(folder, "ad_autoencoder_float", "ad_autoencoder_int8_qdq")
    yield from _around("ad_autoencoder", pair, inputs.made(pair.compressed, 1), None)
    pair = _pair(folder, "sww_dscnn1d_float", "sww_dscnn1d_int8_qdq")
    yield from _around("sww_dscnn1d", pair, inputs.sww(data, 3), (0.0, 1.0))
    pair = _pair(folder, "kws_dscnn_hybrid_as_float", "kws_dscnn_int8_qdq")
    yield from _around("kws_dscnn", pair, inputs.made(pair.compressed, 1), None)
    if "resnet" in report.options.chosen:
        pair = _pair(folder, "ic_resnet8_float", "ic_resnet8_int8_qdq")
        yield from _around("ic_resnet8", pair, inputs.cifar(data, 1), (0.0, 255.0))


def _around(
    name: str, pair: Pair, centres: np.ndarray | Tensor, clip: tuple[float, float] | None
) -> Iterator[Case]:
    step = inputs.step(pair.compressed)
    for share in STEPS:
        region = Box.around(centres, share * step, clip)
        yield Case(f"{name}, eps {share:g} steps", pair, region)


def of_samples(report: Report) -> Iterator[Case]:
    """The first input alone, then all of them."""
    data, folder = report.options.data, report.options.data / "mlperf_tiny"
    samples = inputs.sww(data, SAMPLES)
    for twin in ("weights_only", "qdq"):
        pair = _pair(folder, "sww_dscnn1d_float", f"sww_dscnn1d_int8_{twin}")
        for name, eps in (("0", 0.0), ("0.1/255", 0.1 / 255), ("1/255", 1 / 255)):
            title = f"{twin}, eps {name}"
            first, every = (Box.around(x, eps, (0.0, 1.0)) for x in (samples[:1], samples))
            yield Case(title, pair, first, report.options.runs)
            yield Case(title, pair, every)


def of_weights(data: Path) -> Iterator[Case]:
    """Int8 weights alone, one pixel step around the first image."""
    folder = data / "mlperf_tiny"
    pair = _pair(folder, "ic_resnet8_float", "ic_resnet8_int8_weights_only")
    yield Case("weights_only, eps 1", pair, Box.around(inputs.cifar(data, 1), 1.0, (0.0, 255.0)))


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


if __name__ == "__main__":
    main()
