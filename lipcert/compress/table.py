"""An allocation of bits as a table."""

from collections import Counter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lipcert.compress.allocation import Allocation
from lipcert.report.number import above
from lipcert.report.report import Report
from lipcert.report.word import region_words


def allocation_table(made: Allocation) -> Group:
    """One row per layer, then sizes, and what the same bits everywhere would take."""
    table = Table(title="Bits per channel", box=box.SIMPLE, title_style="bold")
    table.add_column("layer", overflow="fold")
    for name in ("weights", "bits", "share of drift", "", "bytes"):
        table.add_column(name, justify="right")
    total = sum(layer.drift or 0.0 for layer in made.layers)
    for layer in made.layers:
        shown = ("-", "") if layer.drift is None else _share(layer.drift, total)
        table.add_row(layer.name, str(layer.weights), _widths(layer.bits), *shown, str(layer.size))
    table.add_row("everything else", "", "float", "", "", str(made.other))
    kept = [Text(f"stays float: '{layer.name}': {layer.reason}") for layer in made.kept]
    return Group(table, *kept, *_sizes(made))


def _widths(bits: tuple[int, ...]) -> str:
    """How many channels have how many bits: `8: 3, 6: 20`; one number where all have the same."""
    counts = Counter(bits)
    if len(counts) == 1:
        return str(bits[0])
    return ", ".join(f"{width}: {counts[width]}" for width in sorted(counts, reverse=True))


def _share(drift: float, total: float) -> tuple[str, str]:
    percent = f"{100 * drift / total:.1f} %" if total else "-"
    return f"{drift:.4g}", percent


def _sizes(made: Allocation) -> list[RenderableType]:
    """Sizes in words: first all that is stored, then the files."""
    lines = [f"allocated: {made.size} bytes of codes, scales, widths and floats"]
    terms = f"over {region_words(made.certificate.region)} ({Report(made.certificate).how})"
    lines += [
        f"{trial.bits} bits everywhere: {trial.size} bytes, "
        f"proved drift {above(trial.drift)} {terms}"
        for trial in made.uniform
    ]
    before, after = made.file_sizes
    stored = "a layer's codes take 4 bits there, or 8 where one has more"
    lines.append(f"files: {before} bytes originally, {after} bytes now ({stored})")
    return [Text(line) for line in lines]
