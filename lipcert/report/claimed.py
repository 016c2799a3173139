"""What a saved file claims, in plain words."""

from math import inf
from pathlib import Path

from lipcert.certificate.disk import CONSTANTS, load_lipschitz, located
from lipcert.certificate.lipschitz import Constant, LipschitzDocument
from lipcert.report.file import File, region_phrase
from lipcert.report.number import above, below


def claimed(path: Path) -> str:
    """The claim of a certificate, or of Lipschitz constants; one line each.

    Args:
        path: a folder or its `certificate.json`, or a `lipschitz.json`.

    Raises:
        BadFile: if it is malformed or was changed.
    """
    place = located(path)
    if place.name == CONSTANTS:
        return _constants(load_lipschitz(place)[0])
    file = File.of(place)
    return f"{file.title}: {file.result.status.upper()}. {file.finding}"


def _constants(document: LipschitzDocument) -> str:
    claim = document.claim
    where = "all inputs" if claim.region is None else region_phrase(claim.region)
    lines = (_constant(role, constant) for role, constant in document.constants.items())
    return "\n".join(f"{line} in l{claim.norm}, over {where}" for line in lines)


def _constant(role: str, constant: Constant) -> str:
    upper = inf if constant.upper is None else constant.upper
    most = "no finite constant" if upper == inf else f"at most {above(upper)}"
    return f"{role}: {most} (seen: {below(constant.observed)})"
