"""Parts of a bound, by what causes them."""

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
