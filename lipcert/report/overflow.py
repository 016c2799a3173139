"""Which layers of a network can saturate, as a table and as facts."""

from dataclasses import asdict

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lipcert.integer.overflow import LayerOverflow, OverflowReport
from lipcert.report.word import count


def overflow_table(report: OverflowReport) -> Group:
    """One row per product, the verdict last."""
    table = Table(title=report.source, box=box.SIMPLE, title_style="bold")
    for name in ("layer", "kernel", "adds pairs at"):
        table.add_column(name, overflow="fold")
    for name in ("pairs", "can saturate", "smallest sum", "largest sum"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for layer in report.layers:
        table.add_row(
            layer.name,
            layer.kind,
            "16 bits" if layer.narrow else "32 bits",
            str(layer.pairs),
            str(layer.unsafe),
            str(layer.least),
            str(layer.most),
            _verdict(layer),
        )
    remedies = [Text(f"to do: {remedy}") for remedy in report.remedies]
    return Group(table, *remedies, Text(sentence(report)))


def _verdict(layer: LayerOverflow) -> Text:
    return Text("safe", style="green") if layer.safe else Text("unsafe", style="red")


def sentence(report: OverflowReport) -> str:
    """The verdict in one sentence."""
    asked = "over all inputs" if report.inputs is None else f"over {count(report.inputs, 'box')}"
    if report.safe:
        return f"SAFE: {asked}, no sum of two products leaves 16 bits, with or without VNNI"
    bad = sum(not layer.safe for layer in report.layers)
    return (
        f"UNSAFE: {asked}, sums of two products can saturate in {bad} of "
        f"{count(len(report.layers), 'layer')} on x86 processors without VNNI"
    )


def overflow_facts(report: OverflowReport) -> dict[str, object]:
    """The same for JSON."""
    return {
        "source": report.source,
        "safe": report.safe,
        "inputs": report.inputs,
        "layers": [asdict(layer) | {"safe": layer.safe} for layer in report.layers],
        "remedies": list(report.remedies),
        "sentence": sentence(report),
    }
