"""How steep each network is, where that was asked for."""

from collections.abc import Iterator
from math import inf

from lipcert.certificate.lipschitz import Constant
from lipcert.certificate.words import FLIPS, STEPS
from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File, region_phrase
from lipcert.report.number import above, below, ratio

HEADS = ("Network", "Proved", "Seen", "Ratio", "Gap to the relaxation", "By")
ROLES = {"original": "original f", "compressed": "compressed g", "difference": "difference g - f"}


class Lipschitz(Chapter):
    """Constants of f, of g and of their difference."""

    rank, title = 55, "Lipschitz constants"

    def blocks(self, file: File) -> Iterator[Block]:
        """A sentence and a table; nothing where no constants lie beside the certificate."""
        if file.constants is None:
            return
        claim, constants = file.constants.claim, file.constants.constants
        yield Words(
            f"Over {region_phrase(claim.region)}, in real arithmetic, outputs differ by at most "
            "the proved constant times the distance of their inputs, both in the "
            f"l{claim.norm} norm. Some pair of inputs shows the constant that was seen."
        )
        rows = tuple((ROLES.get(role, role), *_cells(c)) for role, c in constants.items())
        yield Sheet("Proved and observed constants", HEADS, rows, numeric=True)
        if "difference" in constants:
            yield Words(f"Of the difference: {FLIPS}.")
        if any(constant.jumps for constant in constants.values()):
            yield Words(f"Nothing proved: {STEPS}.")


def _cells(constant: Constant) -> tuple[str, ...]:
    upper = inf if constant.upper is None else constant.upper
    gap = constant.gap_to_relaxation
    return (
        above(upper),
        below(constant.observed),
        ratio(upper, constant.observed),
        "-" if gap is None else f"{gap:.2%}",
        constant.method,
    )
