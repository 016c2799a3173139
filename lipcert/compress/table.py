"""An allocation of bits as a table."""

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
    table = Table(title="Bits per layer", box=box.SIMPLE, title_style="bold")
    table.add_column("layer", overflow="fold")
    for name in ("weights", "bits", "share of drift", "", "bytes"):
        table.add_column(name, justify="right")
    total = sum(layer.drift or 0.0 for layer in made.layers)
    for layer in made.layers:
        shown = ("-", "") if layer.drift is None else _share(layer.drift, total)
        table.add_row(layer.name, str(layer.weights), str(layer.bits), *shown, str(layer.size))
    table.add_row("everything else", "", "float", "", "", str(made.other))
    kept = [Text(f"stays float: '{layer.name}': {layer.reason}") for layer in made.kept]
    return Group(table, *kept, *_sizes(made))


def _share(drift: float, total: float) -> tuple[str, str]:
    percent = f"{100 * drift / total:.1f} %" if total else "-"
    return f"{drift:.4g}", percent


def _sizes(made: Allocation) -> list[RenderableType]:
    """Sizes in words: first all that is stored, then the files."""
    lines = [f"allocated: {made.size} bytes of codes, scales and floats"]
    terms = f"over {region_words(made.certificate.region)} ({Report(made.certificate).how})"
    lines += [
        f"{trial.bits} bits everywhere: {trial.size} bytes, "
        f"proved drift {above(trial.drift)} {terms}"
        for trial in made.uniform
    ]
    before, after = made.file_sizes
    stored = "codes of 6 bits are stored in 8, of 2 bits in 4"
    lines.append(f"files: {before} bytes originally, {after} bytes now ({stored})")
    return [Text(line) for line in lines]
