"""What a saved file claims, in plain words."""

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
    terms = f"in l{claim.norm}, over {region_phrase(claim.region)}, in real arithmetic"
    constants = document.constants.items()
    return "\n".join(f"{role}: {_constant(constant)} {terms}" for role, constant in constants)


def _constant(constant: Constant) -> str:
    seen = f"seen: {below(constant.observed)}"
    if constant.upper is None:
        return f"no finite constant ({seen})"
    return f"at most {above(constant.upper)} by {constant.method} ({seen})"
