"""What a picture of curves shows, apart from what draws it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity along a panel; where no positive finite number is known there is a gap.

    Args:
        label: in the legend.
        proved: upper bounds.
        seen: what was found, no larger.
    """

    label: str
    proved: Sequence[float]
    seen: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one axis.

    Args:
        across: what the axis counts.
        places: names of its points, in order.
        up: what the curves are.
        curves: a point each per place.
        decades: a logarithmic axis; values far below the largest are left out.
    """

    across: str
    places: Sequence[str]
    up: str
    curves: Sequence[Curve]
    decades: bool = False
