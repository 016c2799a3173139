"""What makes a claim checkable: a closed set of kinds, told apart by `kind`."""

from typing import Annotated, Literal

from pydantic import Field

from lipcert.certificate.model import ArrayName, Model

Partner = tuple[str, bool, ArrayName | None]


class MultiplierEvidence(Model):
    """Multipliers of the S-procedure, which prove bounds over l2 balls; see `lipcert.check.drift`.

    Weighted products that are nowhere negative over the ball, taken off a bound less what it
    bounds, leave a positive semidefinite quadratic form. Whatever the multipliers, what is proved
    with them is true; zeros prove nothing. Goals come in this order: the l2 norm of the drift, then
    each output's drift from above, then each from below.

    Args:
        ball: name of an array (batch, goals): weights of the squared radius less the squared
            distance to the centre.
        products: names of arrays (batch, goals, kinds, entries) by activation. `f:TENSOR` and
            `g:TENSOR`: slopes from the centre, the line above with both lines below, the lines
            below with each other, slopes from each knot. `D:h:TENSOR`: the planes of `slopes`,
            and slopes of the difference where both activations are alike.
    """

    ball: ArrayName
    products: dict[str, ArrayName]


class SlopeEvidence(Model):
    """Slopes below and above activations: whatever they are, what is derived with them is true.

    Activations are named by the tensor that they make in their network's file.

    Args:
        slopes: names of arrays. `f:TENSOR` and `g:TENSOR` are of lines around an activation of the
            original and of the compressed network, (batch, 2, entries): below, above. `D:h:TENSOR`
            are of planes around g's value less f's, along delta and z, z what f's activation reads
            and delta what g's reads less z, (batch, 4, entries): below along both, then above.
        partners: for activations of the compressed network: the tensor of the original that each
            is compared with (empty for the input), whether the original has an activation there,
            and an array that says which of its entries are the compressed network's, null for all.
        multipliers: of the drift SDP; null where all bounds follow from the slopes.
    """

    kind: Literal["slopes"] = "slopes"
    slopes: dict[str, ArrayName]
    partners: dict[str, Partner]
    multipliers: MultiplierEvidence | None = None


class NoEvidence(Model):
    """The claim rests on lipcert's own computation; the reason says why."""

    kind: Literal["none"] = "none"
    reason: str


EvidenceModel = Annotated[SlopeEvidence | NoEvidence, Field(discriminator="kind")]
