"""How tight the bounds are: interval, CROWN, twin and observed drift of dense networks.

MNIST 784-100-100-10-10 reads pixels in 0..1 here (test images divided by 255); so do the figures
published for it. ACAS Xu runs over the normalised boxes of properties.json, and its drifts are
in the published scale: normalised scores times the range of the output. Every drift is the
largest magnitude over the outputs; `sound` says that no observed drift lies outside its bounds.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import inputs
from benchmarks.proved import Proved, bounded, largest, proved
from benchmarks.rounded import rounded_pair
from benchmarks.table import Report, begin
from lipcert import Box, Pair, load_pair
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.read import read_onnx

IMAGES = 10
SCORE_RANGE = 373.94992  # of the published ACAS Xu networks: one unit of a normalised score


def main() -> None:
    """All tables."""
    report, path = begin("tightness", __doc__, {})
    of_mnist(report)
    of_har(report)
    of_acasxu(report)
    if path is not None:
        report.save(path)


def of_mnist(report: Report) -> None:
    """Against the 16-bit twin, and against 8-bit weights."""
    folder = report.options.data / "mnist"
    report.start(
        "MNIST 784-100-100-10-10, +-3/255 around test images, pixels in 0..1",
        f"8-bit: symmetric per row, made here. Seconds are CPU seconds per image of {IMAGES}.",
    )
    original = folder / "mnist_relu_3_100.onnx"
    region = Box.around(inputs.mnist(report.options.data, IMAGES), 3 / 255, clip=(0.0, 1.0))
    published = load_pair(original, folder / "mnist_relu_3_100_16bit.onnx")
    for name, pair in (
        ("16-bit twin", published),
        ("8-bit weights", rounded_pair(read_onnx(original), 8)),
    ):
        compare(report, name, pair, region)


def of_har(report: Report) -> None:
    """Against its own rounded weights."""
    report.start(
        "HAR 561-500-6, +-0.01 around inputs, features in -1..1",
        f"Rounded per row, made here. Seconds are CPU seconds per input of {IMAGES}.",
    )
    graph = read_onnx(report.options.data / "har/HAR_561x500x6.onnx")
    region = Box.around(inputs.har(report.options.data, IMAGES), 0.01, clip=(-1.0, 1.0))
    for bits in (16, 8):
        compare(report, f"{bits}-bit weights", rounded_pair(graph, bits), region)


def compare(report: Report, name: str, pair: Pair, region: Box) -> None:
    """The first two inputs, and the mean of all."""
    options = report.options
    interval = bounded(pair, region, IntervalArithmetic(), options.runs, options.threads)
    crown = bounded(pair, region, Crown(), options.runs, options.threads)
    twin = proved(pair, region, options.runs, options.threads)
    columns = (largest(interval.value), largest(crown.value), twin.bound, twin.seen, twin.ratio)
    count = region.batch
    for title, rows in (
        ("first input", slice(0, 1)),
        ("second input", slice(1, 2)),
        (f"mean of {count}", slice(0, count)),
    ):
        values = [float(column[rows].mean()) for column in columns]
        shown = dict(zip(("interval", "CROWN", "twin", "observed", "ratio"), values, strict=True))
        spent = {
            "interval s": interval.cpu_seconds / count,
            "CROWN s": crown.cpu_seconds / count,
            "twin s": twin.bounding.cpu_seconds / count,
            "attack s": twin.attacking.cpu_seconds / count,
            "twin MiB": twin.bounding.peak_mib,
        }
        report.row({"pair": f"{name}, {title}", **shown, **spent, "sound": twin.sound})


def of_acasxu(report: Report) -> None:
    """Twenty networks and their 16-bit twins over the box of every property."""
    folder, threads = report.options.data / "acasxu", report.options.threads
    properties = json.loads((folder / "properties.json").read_text())["properties"]
    lower, upper = (
        torch.tensor([p[end] for p in properties], dtype=torch.float64)
        for end in ("lower_norm", "upper_norm")
    )
    region = Box.between(lower, upper)
    pairs = _acasxu_pairs(folder)
    report.start(
        f"ACAS Xu, {len(pairs)} networks against their 16-bit twins, boxes of the properties",
        f"In the published scale: normalised scores times {SCORE_RANGE}. Over the networks.",
    )
    crowns = [largest(bounded(pair, region, Crown(), 1, threads).value) for pair in pairs]
    found = [proved(pair, region, 1, threads) for pair in pairs]
    bounds, seen = (_scaled(part) for part in ([p.bound for p in found], [p.seen for p in found]))
    for place, fact in enumerate(properties):
        report.row(
            {
                "property": str(fact["property"]),
                "CROWN max": float(_scaled(crowns)[:, place].max()),
                "twin max": float(bounds[:, place].max()),
                "twin mean": float(bounds[:, place].mean()),
                "observed max": float(seen[:, place].max()),
                "observed mean": float(seen[:, place].mean()),
                "observed max, normalised": float(seen[:, place].max()) / SCORE_RANGE,
                "ratio mean": float((bounds / seen)[:, place].mean()),
                "sound": all(p.sound for p in found),
            }
        )
    _totals(report, found, len(properties))


def _totals(report: Report, found: list[Proved], boxes: int) -> None:
    bounding = sum(p.bounding.cpu_seconds for p in found)
    attacking = sum(p.attacking.cpu_seconds for p in found)
    sound = sum(p.sound for p in found)
    report.say(
        f"{sound} of {len(found)} pairs sound on {boxes} boxes each; twin bounds "
        f"{bounding:.1f} CPU s, attacks {attacking:.1f} CPU s in all, peak "
        f"{max(p.bounding.peak_mib for p in found):.0f} MiB"
    )


def _scaled(parts: list[Tensor]) -> Tensor:
    """(pairs, boxes), in the published scale."""
    return torch.stack(parts) * SCORE_RANGE


def _acasxu_pairs(folder: Path) -> list[Pair]:
    twins = sorted(folder.glob("*_16bit.onnx"))
    return [load_pair(twin.with_name(twin.name.replace("_16bit", "")), twin) for twin in twins]


if __name__ == "__main__":
    main()
