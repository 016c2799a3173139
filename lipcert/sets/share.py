"""Parts of a bound, by what causes them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor


class Cause(StrEnum):
    """What makes a compressed network drift, or a bound on it loose."""

    WEIGHTS = "weights"
    QUANTISER = "quantiser"
    SATURATION = "saturation"
    ACTIVATION = "activation"
    ROUNDING = "floating point"


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What one source adds to the bound on the largest drift of each row.

    Args:
        cause: what kind of source.
        node: where, by the name of f's node; empty for floating point.
        drift: (batch,), output units; negative where it cancels others.
    """

    cause: Cause
    node: str
    drift: Tensor


PRECISION = (Cause.WEIGHTS, Cause.QUANTISER, Cause.SATURATION)


def costliest(shares: Sequence[Share]) -> str | None:
    """The node whose precision adds most, mean over the rows; None where none adds anything."""
    return costliest_of((share.node, share.cause, float(share.drift.mean())) for share in shares)


def costliest_of(means: Iterable[tuple[str, str, float]]) -> str | None:
    """The same of nodes, causes and mean drifts."""
    costs: dict[str, float] = {}
    for node, cause, mean in means:
        if cause in PRECISION:
            costs[node] = costs.get(node, 0.0) + mean
    worst = max(costs, key=lambda node: costs[node], default=None)
    return worst if worst is not None and costs[worst] > 0 else None
