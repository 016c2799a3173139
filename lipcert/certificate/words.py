"""What a claim takes for granted and what it does not cover, in words."""

from lipcert.certificate.claim import BallRegion, BoxRegion, ClaimModel

ARITHMETIC = {
    "real": "Both networks are functions in exact arithmetic on the stored weights; quantisers "
    "round half to even, saturate and scale.",
    "float32": "Both networks are executed in float32, with sums in any order; tanh, exp and the "
    "like are right to 2^-20 of the larger of 1 and their input, and exps "
    "of a softmax to as much of themselves.",
    "int8": "The compressed network is executed by integer kernels with float32 requantisation, or "
    "as its QDQ graph in float32; the original is executed in float32.",
    "ort-x86-sat16": "The compressed network is executed by integer kernels with float32 "
    "requantisation, on x86 processors that add pairs of products in 16 bits, saturating sums "
    "included; the original is executed in float32.",
    "litert": "The compressed network is executed by LiteRT's reference kernels on int8 codes (op "
    "resolver BUILTIN_REF); its other kernels may round otherwise. The original is executed in "
    "float32.",
}
MEMBERS = {
    "box": "every input between its lower and its upper end, coordinate by coordinate",
    "ball": "every input within the radius of its centre in the l2 norm, inside the valid range",
    "grid": "every input whose coordinates are multiples of the step, from its first to its last",
}

FLIPS = (
    "with ReLUs its constant does not shrink with the number of bits, because one neuron that may "
    "flip in only one network already costs a full slope; a bound on the drift itself says more"
)
STEPS = "quantised activations jump, and a step has no Lipschitz constant"


def assumptions(claim: ClaimModel) -> tuple[str, ...]:
    """What must be true outside the certificate for its claim to matter."""
    executed = claim.semantics.compressed != "real"
    members = MEMBERS[claim.region.kind] + (", as float32 numbers" if executed else "")
    return (
        "The networks in use are the files whose SHA-256 the provenance names.",
        f"Each region holds {members}, in the units of the networks' input.",
        ARITHMETIC[claim.semantics.compressed],
        "Processor, compiler and libraries follow IEEE 754 with rounding to nearest.",
    )


def limits(claim: ClaimModel) -> tuple[str, ...]:
    """What nobody should read into the claim."""
    found = [
        "Inputs outside the regions are not covered; coverage of untested inputs is statistical.",
        "Bounds are proved, not exact: the truth lies between what was seen and what is proved.",
        "Drift says how far apart the two networks are, not that either of them is right.",
    ]
    if claim.semantics.compressed == "real":
        found.append(
            "Rounding inside a runtime is not covered: usually a millionth of the output, a whole "
            "quantisation step where a value lies on the edge of one."
        )
    if isinstance(claim.region, BoxRegion | BallRegion):
        found.append("Perturbations other than those of the regions (shifts, rotations) are not.")
    return tuple(found)
