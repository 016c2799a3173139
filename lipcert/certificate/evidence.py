"""What makes a claim checkable: a closed set of kinds, told apart by `kind`."""

from typing import Annotated, Literal

from pydantic import Field

from lipcert.certificate.model import ArrayName, Model

NetworkName = Literal["original", "compressed"]


class LineSlopes(Model):
    """Slopes of a line below and of one above an activation of one network.

    The activation is named by the tensor that it makes in the network's file. `slopes` is
    (batch, 2, *shape).
    """

    network: NetworkName
    node: str
    slopes: ArrayName


class PlaneSlopes(Model):
    r"""Slopes of planes below and above the difference of two activations.

    D = g's value - f's value is bounded by planes in (delta, z), z what f's activation reads, delta
    what g's reads less z. `slopes` is (batch, 4, *shape): along delta and z below, then above.

    Args:
        original: the tensor that f's activation makes; what g's is compared with where f has none.
        compressed: likewise of g.
        computes: which networks have an activation here.
        kept: for each of g's entries the entry of f that it plays the part of, flattened; null for
            one by one.
        slopes: of f's shape.
    """

    original: str
    compressed: str
    computes: Literal["both", "original", "compressed"]
    kept: ArrayName | None
    slopes: ArrayName


class SlopeEvidence(Model):
    """Enough to derive every enclosure again; whatever the slopes, what is derived is true."""

    kind: Literal["slopes"] = "slopes"
    lines: tuple[LineSlopes, ...]
    planes: tuple[PlaneSlopes, ...]


class NoEvidence(Model):
    """The claim rests on lipcert's own computation; the reason says why."""

    kind: Literal["none"] = "none"
    reason: str


EvidenceModel = Annotated[SlopeEvidence | NoEvidence, Field(discriminator="kind")]
