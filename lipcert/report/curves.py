"""Curves of proved and seen values, drawn by matplotlib as a PNG."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lipcert.report.curve import Panel
from lipcert.report.drawing import FRAME, PROVED, SEEN, STYLE

SIZE = (4.2, 2.9)  # inches of one panel
DPI = 160
MARKS = ("o", "s", "^")
LINES = ("-", "--", ":")
FLOOR = 1e-6  # share of the largest value below which decades show nothing


def draw(rows: Sequence[Sequence[Panel]], title: str, path: Path) -> Path:
    """Panels in rows that share their upward axis, written to a file; returns its path."""
    with rc_context(STYLE):
        width, height = SIZE
        columns = max(map(len, rows))
        figure = Figure(figsize=(width * columns, height * len(rows) + 0.5), layout="constrained")
        figure.suptitle(title, fontsize=10)
        axes = figure.subplots(len(rows), columns, squeeze=False, sharey="row")
        for panels, places in zip(rows, axes, strict=True):
            for number, (panel, place) in enumerate(zip(panels, places, strict=True)):
                _panel(place, panel, first=number == 0)
        figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": None})
    return path


def _panel(axes: Axes, panel: Panel, *, first: bool) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FRAME, linewidth=0.5)
    axes.set_axisbelow(True)
    across = range(len(panel.places))
    every = [v for c in panel.curves for v in (*c.proved, *c.seen) if isfinite(v)]
    least = FLOOR * max(every, default=0.0) if panel.decades else -1.0
    for curve, mark, line in zip(panel.curves, MARKS, LINES, strict=False):
        sides = ((curve.proved, PROVED, "proved", 3.5), (curve.seen, SEEN, "seen", 1.2))
        for values, colour, word, wide in sides:
            shown = [v if isfinite(v) and v > least else float("nan") for v in values]
            axes.plot(across, shown, line, marker=mark, markersize=3 + wide / 2, color=colour,
                      linewidth=wide, label=f"{curve.label}, {word}")  # fmt: skip
    if panel.decades:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xticks(across, panel.places)
    axes.set_xlim(-0.3, len(panel.places) - 0.7)
    axes.set_xlabel(panel.across)
    if first:
        axes.set_ylabel(panel.up)
        axes.legend(frameon=False, fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
