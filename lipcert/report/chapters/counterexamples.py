"""Inputs that refute, with what the deployed runtime returned for them."""

from collections.abc import Iterator, Sequence

from lipcert.certificate.result import Counterexample
from lipcert.report.blocks import Block, Gallery, Picture, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.picture import as_png

MOST, SHOWN = 40, 8
HEADS = ("Near input", "Refutes", "Stored as", "Original f", "Compressed g", "g - f")


class Counterexamples(Chapter):
    """One row per input; nothing where nothing is refuted."""

    rank, title = 45, "Counterexamples"

    def blocks(self, file: File) -> Iterator[Block]:
        """What each one shows, and pictures of those on which the labels differ."""
        every = file.result.counterexamples
        if not every:
            return
        replayed = any(entry.runtime for entry in every)
        returned = "Outputs are those that ONNX Runtime returned."
        yield Words(
            "On each of these inputs the claim named beside it is false; the inputs are in "
            f"arrays.npz. {returned if replayed else 'No runtime has computed them again.'}"
        )
        rows = tuple(_cells(entry) for entry in every[:MOST])
        yield Sheet("Inputs that refute", HEADS, rows, numeric=True)
        if len(every) > MOST:
            yield Words(f"The first {MOST} of {len(every)}.")
        pictures = tuple(_pictures(file, [entry for entry in every if entry.kind == "label"]))
        if pictures:
            yield Gallery("Inputs on which the two networks name different labels", pictures)


def _cells(entry: Counterexample) -> tuple[str, ...]:
    """An output of both networks, or the labels that both name."""
    what = "one label" if entry.output is None else f"drift of output {entry.output}"
    return (str(entry.row), what, f"found[{entry.input}]", *_returned(entry))


def _returned(entry: Counterexample) -> tuple[str, str, str]:
    if entry.runtime is None:
        return "-", "-", "-"
    f, g = entry.runtime.original, entry.runtime.compressed
    if entry.output is None:
        return f"label {_label(f)}", f"label {_label(g)}", "-"
    before, after = f[entry.output], g[entry.output]
    if before is None or after is None:
        return str(before), str(after), "-"
    return f"{before:.6g}", f"{after:.6g}", f"{after - before:.4g}"


def _label(outputs: Sequence[float | None]) -> int:
    known = [float("-inf") if value is None else value for value in outputs]
    return known.index(max(known))


def _pictures(file: File, entries: Sequence[Counterexample]) -> Iterator[Picture]:
    for entry in entries[:SHOWN]:
        png = as_png(file.stored.arrays["found"][entry.input])
        if png is None:
            return
        text = f"an input near input {entry.row} on which the labels differ"
        f, g, _ = _returned(entry)
        yield Picture(png, text, f"near input {entry.row}: f {f}, g {g}")
