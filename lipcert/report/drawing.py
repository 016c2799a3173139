"""Charts, drawn by matplotlib as SVG whose colours a page may replace."""

import io
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.typing import RcKeyType

INK, FRAME, PROVED, SEEN = "#1c2733", "#c3ccd6", "#86bdb5", "#0d5f57"
CAUSES = {
    "weights": SEEN,
    "quantiser": "#c2703d",
    "saturation": "#a03050",
    "activation": PROVED,
    "floating point": "#8a94a0",
}
PALETTE = {
    "ink": INK,
    "frame": FRAME,
    "proved": PROVED,
    "seen": SEEN,
    "quantiser": "#c2703d",
    "saturation": "#a03050",
    "rounding": "#8a94a0",
}
DARK = {
    "ink": "#e4eaf0",
    "frame": "#3a4754",
    "proved": "#2f6f67",
    "seen": "#8be0d2",
    "quantiser": "#e59a68",
    "saturation": "#ff8fa6",
    "rounding": "#a3b0bd",
}
STYLE: dict[RcKeyType, str | float] = {
    "svg.fonttype": "path",  # looks alike wherever it is opened
    "svg.hashsalt": "lipcert",  # equal charts are equal files
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FRAME,
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9,
}
WIDTH, ROW = 7.0, 0.24  # inches
Span = tuple[float, float]


def spans(names: Sequence[str], proved: Sequence[Span], seen: Sequence[Span | None]) -> str:
    """Ranges per output: wide bars what is proved, narrow bars what was seen."""
    with rc_context(STYLE):
        figure, axes = _figure(len(names))
        for k, (low, high) in enumerate(proved):
            axes.barh(k, high - low, left=low, height=0.72, color=PROVED)
        for k, span in enumerate(seen):
            if span is not None:
                axes.barh(k, span[1] - span[0], left=span[0], height=0.28, color=SEEN)
        axes.axvline(0, color=INK, linewidth=0.6)
        _rows(axes, names)
        axes.set_xlabel("drift")
        axes.set_ylabel("output")
        return _svg(figure)


def stacks(shares: Sequence[tuple[str, str, float]]) -> str:
    """Bars per layer, stacked by cause; what cancels other shares goes to the left."""
    with rc_context(STYLE):
        names = list(dict.fromkeys(node for node, _, _ in shares))
        figure, axes = _figure(len(names))
        ends = {(name, side): 0.0 for name in names for side in (False, True)}
        for node, cause, size in shares:
            side = (node, size < 0)
            axes.barh(names.index(node), size, left=ends[side], height=0.7, color=CAUSES[cause])
            ends[side] += size
        _rows(axes, names)
        axes.axvline(0, color=INK, linewidth=0.6)
        axes.set_xlabel("share of the bound")
        causes = list(dict.fromkeys(cause for _, cause, _ in shares))
        keys = [Patch(color=CAUSES[cause], label=cause) for cause in causes]
        above = (0.0, 1.0)  # never over a bar
        axes.legend(
            handles=keys, frameon=False, ncols=len(keys), loc="lower left", bbox_to_anchor=above
        )
        return _svg(figure)


def _figure(rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.9 + ROW * max(rows, 3)), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color=FRAME, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.use_sticky_edges = False  # bars end inside the frame
    axes.margins(x=0.02)
    return figure, axes


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()


def _svg(figure: Figure) -> str:
    """From the first tag on: a page wants no declarations inside."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
