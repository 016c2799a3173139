"""The JSON of proved Lipschitz constants: `lipschitz.json`, arrays beside it."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lipcert.certificate.claim import RegionModel
from lipcert.certificate.document import ArrayFacts, Sealed
from lipcert.certificate.model import ArrayName, Bound, BoundRow, Count, Hash, Model, Row
from lipcert.certificate.provenance import NetworkFacts

FORMAT = "lipcert-lipschitz-1.0"
SCHEMA = Path(__file__).with_name("lipschitz.schema.json")
FORMULA = "for all x, x' in region: ||f(x) - f(x')|| <= upper ||x - x'||"
Role = Literal["network", "original", "compressed", "difference"]


class LipschitzClaim(Model):
    """What `upper` of every constant means, in real arithmetic.

    Args:
        norm: of inputs and outputs alike.
        region: one convex region per row; null for all inputs whatever.
    """

    kind: Literal["lipschitz"] = "lipschitz"
    formula: Literal["for all x, x' in region: ||f(x) - f(x')|| <= upper ||x - x'||"] = FORMULA
    norm: Literal["1", "2", "inf"]
    region: RegionModel | None


class Multipliers(Model):
    """Of one activation's neurons, in one row's LMI.

    Args:
        method: the relaxation whose LMI it is.
        row: of the region.
        node: the activation.
        neurons: its flat coordinates that are variables of the program.
        weights: a multiplier for each.
    """

    method: str
    row: Count
    node: str
    neurons: ArrayName
    weights: ArrayName


class Constant(Model):
    """A network's proved constant, with the largest difference quotient that was found.

    Args:
        source: which network.
        content_sha256: of the graph that was bounded.
        upper: proved; no row's constant is larger.
        observed: no constant is smaller.
        method: whose bound `upper` is.
        gap_to_relaxation: how far `upper` may lie above the optimum of its relaxation.
        inflation: what the verification added to the square of `upper`, relatively.
        jumps: whether some activation is a staircase, which has no constant.
        upper_per_region: of every row.
        observed_per_region: of every row.
        upper_by_method: what each relaxation proved, the largest of all rows.
        first: inputs x that show `observed_per_region`, (rows, *shape).
        second: inputs x' that do.
        multipliers: what proofs by LipSDP rest on; rows without any follow from derivatives.
        reason: why `upper` rests on lipcert's own computation; null where a checker derives it.
    """

    source: str
    content_sha256: Hash
    upper: Bound
    observed: Annotated[float, Field(ge=0)]
    method: str
    gap_to_relaxation: float | None
    inflation: float | None
    jumps: bool
    upper_per_region: BoundRow
    observed_per_region: Row
    upper_by_method: dict[str, Bound]
    first: ArrayName
    second: ArrayName
    multipliers: tuple[Multipliers, ...]
    reason: str | None = None

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """The maxima are maxima, and nothing was seen above what is proved."""
        known = [bound for bound in self.upper_per_region if bound is not None]
        whole = len(known) == len(self.upper_per_region) > 0
        if self.upper != (max(known) if whole else None):
            raise ValueError("upper is not the largest of its regions")
        if self.observed != max(self.observed_per_region, default=0.0):
            raise ValueError("observed is not the largest of its regions")
        for seen, proved in zip(self.observed_per_region, self.upper_per_region, strict=True):
            if proved is not None and seen > proved:
                raise ValueError("an observed difference quotient exceeds the proved constant")
        return self


class LipschitzProvenance(Model):
    """How the constants came about.

    Args:
        networks: as they were read, under their roles.
        seed: of the search for difference quotients.
        versions: of the tool and what it computes with.
        machine: processor architecture, system and Python.
        threads: CPU threads.
        seconds: wall-clock time of each network's bounds and search.
        time: when, UTC, ISO 8601.
    """

    networks: dict[Role, NetworkFacts]
    seed: int
    versions: dict[str, str]
    machine: str
    threads: Count
    seconds: dict[str, float]
    time: str


class LipschitzDocument(Sealed):
    """Constants of one network, or of a pair and of its difference.

    Args:
        format: name and version of this schema.
        claim: what is claimed.
        constants: of each network.
        provenance: files, tools, machine.
        arrays: everything that `lipschitz.npz` beside this file holds.
    """

    format: Literal["lipcert-lipschitz-1.0"] = FORMAT
    claim: LipschitzClaim
    constants: dict[Role, Constant]
    provenance: LipschitzProvenance
    arrays: dict[str, ArrayFacts]
