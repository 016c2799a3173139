"""What a certificate claims: a closed set of kinds, told apart by `kind`."""

from typing import Annotated, Literal

from pydantic import Field

from lipcert.certificate.model import ArrayName, Count, Model

SemanticsName = Literal["real", "float32", "int8", "ort-x86-sat16", "litert"]
Clip = tuple[float, float]


class BoxRegion(Model):
    """Per row all inputs x with `lower <= x <= upper`; `radius` is the largest half width."""

    kind: Literal["box"] = "box"
    batch: Count
    radius: float
    lower: ArrayName
    upper: ArrayName


class BallRegion(Model):
    """Per row all inputs within `radius` of `centre` in the l2 norm, cut to the range `clip`."""

    kind: Literal["ball"] = "ball"
    norm: Literal[2] = 2
    batch: Count
    radius: float
    centre: ArrayName
    clip: Clip | None


class GridRegion(Model):
    """Per row all inputs `k step` with whole numbers `first <= k <= last`."""

    kind: Literal["grid"] = "grid"
    batch: Count
    radius: float
    step: float
    first: ArrayName
    last: ArrayName


RegionModel = Annotated[BoxRegion | BallRegion | GridRegion, Field(discriminator="kind")]


class SemanticsModel(Model):
    """The named arithmetic in which each network is a function."""

    original: SemanticsName
    compressed: SemanticsName


class DriftClaim(Model):
    """Bounds on how far the compressed network's outputs lie from the original's.

    `threshold` is the drift that is allowed, in output units and in the norm `norm` over outputs;
    null where only bounds were asked for. The bounds themselves are in `result`.
    """

    kind: Literal["drift"] = "drift"
    formula: Literal["for all x in region: lower <= compressed(x) - original(x) <= upper"] = (
        "for all x in region: lower <= compressed(x) - original(x) <= upper"
    )
    norm: Literal["inf"] = "inf"
    threshold: Annotated[float, Field(ge=0)] | None
    region: RegionModel
    semantics: SemanticsModel


ClaimModel = DriftClaim
