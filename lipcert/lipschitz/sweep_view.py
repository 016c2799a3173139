"""A sweep as a table and as a picture."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lipcert.errors import MissingPackage
from lipcert.lipschitz.sweep import METHOD, Sweep, Variant
from lipcert.lipschitz.table import FLIPS, proved_by
from lipcert.report.curve import Curve, Panel
from lipcert.report.number import above, below
from lipcert.report.word import method_words, region_words

AXES = (("bits", "weight bits"), ("zeros", "share of weights that are zero"))


def sweep_table(made: Sweep) -> Group:
    """A row per variant."""
    table = Table(title=_title(made), box=box.SIMPLE, title_style="bold")
    table.add_column("weights", justify="left")
    names = ["L(g)", "L(g - f)", *(["drift"] if made.region is not None else [])]
    for name in names:
        table.add_column(f"{name} proved", justify="right")
        table.add_column("seen", justify="right")
    for variant in made.variants:
        both = (variant.bounds.compressed, variant.bounds.difference)
        sides = [(b.upper, b.observed) for b in both]
        sides += [] if variant.drift is None else [variant.drift]
        cells = [text for u, s in sides for text in (above(u), below(s))]
        table.add_row(_name(variant), *cells)
    first = made.variants[0].bounds.original
    own = f"L(f): {above(first.upper)} proved, {below(first.observed)} seen"
    by = proved_by(bound for v in made.variants for bound in v.bounds.parts().values())
    drift = [] if made.region is None else [Text(f"drift by {method_words(type(METHOD).__name__)}")]
    return Group(table, Text(own), by, *drift, Text(f"L(g - f): {FLIPS}"))


def draw_sweep(made: Sweep, path: Path) -> Path:
    """Constants above, drift below; bits to the left, zeros to the right. Returns the path.

    Raises:
        MissingPackage: matplotlib is absent.
    """
    curves = curves_module()
    kinds = [(made.of(change), along) for change, along in AXES if made.of(change)]
    rows = [[_constants(variants, along) for variants, along in kinds]]
    if made.region is not None:
        rows.append([_drifts(variants, along) for variants, along in kinds])
    return curves.draw(rows, _title(made), path)


def curves_module() -> ModuleType:
    """What draws.

    Raises:
        MissingPackage: matplotlib is absent.
    """
    try:
        return import_module("lipcert.report.curves")
    except ImportError as error:
        raise MissingPackage(
            f"sweep: {error.name} is not installed; pip install 'lipcert[report]'"
        ) from error


def _constants(variants: Sequence[Variant], along: str) -> Panel:
    bounds = {
        "L(f)": [v.bounds.original for v in variants],
        "L(g)": [v.bounds.compressed for v in variants],
        "L(g - f)": [v.bounds.difference for v in variants],
    }
    curves = [
        Curve(name, [b.upper for b in found], [b.observed for b in found])
        for name, found in bounds.items()
    ]
    return Panel(along, [_amount(v) for v in variants], "Lipschitz constant", curves)


def _drifts(variants: Sequence[Variant], along: str) -> Panel:
    found = [v.drift for v in variants if v.drift is not None]
    curve = Curve("drift", [proved for proved, _ in found], [seen for _, seen in found])
    return Panel(along, [_amount(v) for v in variants], "largest drift", [curve], decades=True)


def _title(made: Sweep) -> str:
    where = region_words(made.region)
    return f"{made.source.name}, l{made.norm} norm, over {where}, in real arithmetic"


def _name(variant: Variant) -> str:
    kind = "bits" if variant.change == "bits" else "zeros"
    return f"{_amount(variant)} {kind}"


def _amount(variant: Variant) -> str:
    return f"{variant.amount:g}" if variant.change == "bits" else f"{variant.amount:.0%}"
