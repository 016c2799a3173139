"""A certificate on file, with what an auditor asks of it first."""

from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePath

from lipcert.certificate.claim import RegionModel
from lipcert.certificate.disk import CONSTANTS, Stored, load, load_lipschitz
from lipcert.certificate.document import Document
from lipcert.certificate.lipschitz import LipschitzDocument
from lipcert.certificate.provenance import NetworkFacts
from lipcert.certificate.result import Result
from lipcert.certificate.verdict import Verdict
from lipcert.errors import BadFile
from lipcert.report.number import above, below, length
from lipcert.report.word import count, method_words

KINDS = {"box": "box", "ball": "l2 ball", "grid": "grid"}


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """One certificate.

    Args:
        stored: as it was loaded.
        checked: what the independent checker said of it, in words; None where it was not asked.
        constants: Lipschitz constants of the same networks, where they were computed.
    """

    stored: Stored
    checked: str | None = None
    constants: LipschitzDocument | None = None

    @classmethod
    def of(cls, place: Path) -> "File":
        """The certificate at a place, and the Lipschitz constants that lie beside it.

        Raises:
            BadFile: if either is malformed or was changed, or if the constants are not those of
                the certificate's networks.
        """
        stored = load(place)
        beside = stored.path.with_name(CONSTANTS)
        if not beside.exists():
            return cls(stored)
        constants = load_lipschitz(beside)[0]
        known = {_identity(n) for _, n in stored.document.provenance.networks}
        strange = [n for n in constants.provenance.networks.values() if _identity(n) not in known]
        if strange:
            raise BadFile(
                f"{beside}: constants of {strange[0].source}, which is not one of the "
                f"networks of {stored.path}"
            )
        return cls(stored, constants=constants)

    @property
    def document(self) -> Document:
        """Its facts."""
        return self.stored.document

    @property
    def result(self) -> Result:
        """Its answer."""
        return self.stored.document.result

    @property
    def names(self) -> tuple[str, str]:
        """File names of the original and of the compressed network."""
        networks = self.document.provenance.networks
        return PurePath(networks.original.source).name, PurePath(networks.compressed.source).name

    @property
    def title(self) -> str:
        """What is held against what."""
        original, compressed = self.names
        return f"{compressed} against {original}"

    @property
    def region(self) -> str:
        """What is quantified over, as in '10 boxes of radius 0.01'."""
        return region_phrase(self.document.claim.region)

    @property
    def method(self) -> str:
        """The relaxation in words."""
        return method_words(self.result.method)

    @property
    def terms(self) -> str:
        """Where, in which arithmetic and by what a bound holds: no bound is told without them."""
        semantics = self.document.claim.semantics.compressed
        return f"over {self.region}, in {semantics} arithmetic, by {self.method}"

    @property
    def proved(self) -> float:
        """Upper bound of the drift over everything."""
        return max(inf if bound is None else bound for bound in self.result.max_drift)

    @property
    def seen(self) -> tuple[float, ...] | None:
        """Largest drift found around each input."""
        table = self.result.observed
        if table is None:
            return None
        rows = zip(table.lower, table.upper, strict=True)
        return tuple(max(map(abs, (*lower, *upper))) for lower, upper in rows)

    @property
    def finding(self) -> str:
        """The answer in plain words."""
        most, seen = self.proved, self.seen
        beside = f"The largest drift that a search found is {below(max(seen))}." if seen else (
            "No search was made."
        )  # fmt: skip
        threshold = self.document.claim.threshold
        if threshold is not None:
            return f"{_held(self.result.status, threshold)} {self._bound(most)} {beside}"
        return f"No allowed drift was set. {self._bound(most)} {beside}"

    def _bound(self, most: float) -> str:
        if most == inf:
            return f"No finite bound was proved {self.terms}."
        return (
            f"It is proved, {self.terms}, that no output of the compressed network is further "
            f"than {above(most)} from the original's."
        )


def region_phrase(region: RegionModel | None) -> str:
    """A region on file, as in '10 boxes of radius 0.01'; None is all inputs."""
    if region is None:
        return "all inputs"
    if region.radius == 0:
        return count(region.batch, "point")
    return f"{count(region.batch, KINDS[region.kind])} of radius {length(region.radius)}"


def _identity(network: NetworkFacts) -> str:
    """What tells networks apart: the file, or the contents of what was no file."""
    return network.file_sha256 or network.content_sha256


def _held(status: Verdict, threshold: float) -> str:
    limit = length(threshold)
    if status is Verdict.PROVED:
        return f"Inside the regions no output drifts by more than the allowed {limit}."
    if status is Verdict.REFUTED:
        return f"An input was found on which an output drifts by more than the allowed {limit}."
    return f"It is open whether drift stays within the allowed {limit}."
