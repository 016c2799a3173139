"""What the checker takes, and how large certificates are.

`answer` is that of `lipcert check` on a certificate saved by `lipcert certify` with its defaults.
Sizes are those of `certificate.json` and of `arrays.npz`, which holds slopes and inputs; saving
derives the bounds once, too. Seconds are the checker's own, of one thread.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import inputs
from benchmarks.inputs import DIGITS, digits
from benchmarks.measured import measured
from benchmarks.table import Report, begin
from lipcert import Box, certify, load_pair
from lipcert.check import check
from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.sets.region import Region


def main() -> None:
    """One table."""
    report, path = begin("checker", __doc__, {})
    report.start("lipcert check")
    for title, pair, region in _cases(report.options.data / "mlperf_tiny"):
        with tempfile.TemporaryDirectory() as folder:
            show(report, title, pair, region, Path(folder))
    if path is not None:
        report.save(path)


def _cases(tiny: Path) -> Iterator[tuple[str, Pair, Region]]:
    """The shipped pairs, then MLPerf Tiny."""
    ten = Box.around(digits(), 0.01, (0.0, 1.0))
    for twin in ("int8", "pruned"):
        yield (
            f"digits, {twin}",
            load_pair(DIGITS / "model.onnx", DIGITS / f"model.{twin}.onnx"),
            ten,
        )
    sound = Box.around(inputs.sww(tiny.parent, 1), 1 / 255, (0.0, 1.0))
    original = tiny / "sww_dscnn1d_float.onnx"
    for twin, semantics in (("weights_only", "real"), ("qdq", "real"), ("qdq", "int8")):
        compressed = tiny / f"sww_dscnn1d_int8_{twin}.onnx"
        pair = load_pair(original, compressed, semantics=Semantics(semantics))
        yield f"sww, {twin}, 1/255, {semantics}", pair, sound
    pair = load_pair(tiny / "ad_autoencoder_float.onnx", tiny / "ad_autoencoder_int8_qdq.onnx")
    centre, step = inputs.made(pair.compressed, 1), inputs.step(pair.compressed)
    yield "ad_autoencoder, qdq, 0.1 steps", pair, Box.around(centre, 0.1 * step)


def show(report: Report, title: str, pair: Pair, region: Region, folder: Path) -> None:
    """One row."""
    saving = measured(lambda: str(certify(pair, region).save(folder)))
    place = Path(saving.value)
    checking = measured(lambda: str(check(place)[0]))
    report.row(
        {
            "pair": title,
            "inputs": region.batch,
            "answer": checking.value,
            "JSON kB": place.stat().st_size / 1000,
            "arrays kB": place.with_name("arrays.npz").stat().st_size / 1000,
            "certify and save CPU s": saving.cpu_seconds,
            "check CPU s": checking.cpu_seconds,
            "check wall s": checking.wall_seconds,
            "check peak MiB": checking.peak_mib,
        }
    )


if __name__ == "__main__":
    main()
