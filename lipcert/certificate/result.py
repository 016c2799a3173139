"""What was found: proved and observed bounds, counterexamples, coverage."""

from collections.abc import Iterator
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lipcert.certificate.binomial import is_interval
from lipcert.certificate.model import (
    Bound,
    BoundRow,
    BoundTable,
    Count,
    Model,
    NameTable,
    Table,
)
from lipcert.certificate.verdict import Verdict

Status = Annotated[Verdict, Field(strict=False)]


class ShareFacts(Model):
    """What one source adds to the bound on each row's largest drift; see `node` for where."""

    cause: str
    node: str
    drift: tuple[float, ...]


class RuntimeOutputs(Model):
    """What ONNX Runtime returned, flattened; null where it is not a finite number."""

    original: BoundRow
    compressed: BoundRow


class Counterexample(Model):
    """An input that refutes: drift above the threshold, or two labels.

    Args:
        kind: what it refutes.
        row: whose region it is in.
        output: whose drift; null for labels.
        input: its place in the array `found`.
        runtime: what ONNX Runtime returned for it; null without two ONNX files.
    """

    kind: Literal["drift", "label"]
    row: Count
    output: Count | None
    input: Count
    runtime: RuntimeOutputs | None

    @model_validator(mode="after")
    def about_one_thing(self) -> Self:
        """Drift is of an output, labels are of all of them."""
        if (self.output is None) != (self.kind == "label"):
            raise ValueError("a drift without its output, or labels of one output")
        return self


class Coverage(Model):
    """Rows for which something was proved, as a statement on inputs that were not tested.

    The interval is that of Clopper and Pearson: it holds with the given confidence if the rows were
    drawn independently from the distribution that is asked about. It is a statistical statement,
    unlike all others in a certificate.
    """

    label: Literal["statistical"] = "statistical"
    what: Literal["drift within threshold", "same label"]
    successes: Count
    trials: Count
    confidence: float
    lower: float
    upper: float

    @model_validator(mode="after")
    def exact(self) -> Self:
        """The interval is that of the counts."""
        if not is_interval(self.successes, self.trials, self.confidence, (self.lower, self.upper)):
            raise ValueError("coverage: not the interval of its counts")
        return self


class Result(Model):
    """The answer.

    Args:
        status: of the claim: its threshold, or without one that every bound is finite.
        output_shape: of one output, before it was flattened.
        method: name of the relaxation.
        aligned: whether the difference was followed node by node.
        drift: proved bounds of g(x) - f(x).
        drift_by: which relaxation gave each of these bounds, where there are several.
        drift_norm: proved bound on the l2 norm of each row's g(x) - f(x), where there is one.
        original: proved bounds of f(x).
        compressed: proved bounds of g(x).
        max_drift: proved bound on each row's largest |g(x) - f(x)|.
        observed: extreme drifts that were found, in float64 under the claim's semantics; the arrays
            `lowest` and `highest`, (batch, outputs), say which inputs of `found` show them.
        observed_runtime: the same as ONNX Runtime computes them on these inputs.
        runtime: which runtime and configuration, or why there is none.
        agreement: per row, whether both networks name one and the same top-1 label.
        budget: the bound on each row's largest drift by source.
        counterexamples: inputs that refute.
        coverage: what the rows say about inputs that were not tested.
    """

    status: Status
    output_shape: tuple[Count, ...]
    method: str
    aligned: bool
    drift: BoundTable
    drift_by: NameTable | None
    drift_norm: BoundRow | None
    original: BoundTable
    compressed: BoundTable
    max_drift: BoundRow
    observed: Table | None
    observed_runtime: BoundTable | None
    runtime: str | None
    agreement: tuple[Status, ...] | None
    budget: tuple[ShareFacts, ...] | None
    counterexamples: tuple[Counterexample, ...]
    coverage: tuple[Coverage, ...]

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """One size, ends in order, maxima that are maxima, observations inside the bounds."""
        rows, columns = len(self.max_drift), prod(self.output_shape)
        for name in ("drift", "drift_by", "original", "compressed", "observed", "observed_runtime"):
            _sound(name, getattr(self, name), rows, columns)
        if self.max_drift != largest(self.drift):
            raise ValueError("max_drift is not the largest of the drift bounds")
        if self.observed is not None:
            pairs = zip(_ends(self.observed), _ends(self.drift), strict=True)
            if any(seen[0] < proved[0] or seen[1] > proved[1] for seen, proved in pairs):
                raise ValueError("an observed drift lies outside the proved bounds")
        if self.drift_norm is not None and len(self.drift_norm) != rows:
            raise ValueError("drift_norm has not one entry per row")
        if self.agreement is not None and len(self.agreement) != rows:
            raise ValueError("agreement has not one entry per row")
        return self


def _sound(
    name: str, table: BoundTable | NameTable | Table | None, rows: int, columns: int
) -> None:
    """Refuse a table of another size, or one whose ends are out of order."""
    if table is None:
        return
    for side in (table.lower, table.upper):
        if len(side) != rows or any(len(row) != columns for row in side):
            raise ValueError(f"{name}: not {rows} rows of {columns} outputs")
    if isinstance(table, NameTable) or name == "observed_runtime":
        return
    if any(low > high for low, high in _ends(table)):
        raise ValueError(f"{name}: a lower bound lies above its upper bound")


def _ends(table: BoundTable | Table) -> Iterator[tuple[float, float]]:
    """Lower and upper end of every entry; what is not known is infinite."""
    for lower, upper in zip(table.lower, table.upper, strict=True):
        for low, high in zip(lower, upper, strict=True):
            yield float("-inf") if low is None else low, float("inf") if high is None else high


def largest(drift: BoundTable) -> BoundRow:
    """The greatest absolute bound of each row; null where one is missing."""
    return tuple(
        _most((*lower, *upper)) for lower, upper in zip(drift.lower, drift.upper, strict=True)
    )


def _most(row: BoundRow) -> Bound:
    known = [abs(entry) for entry in row if entry is not None]
    return max(known, default=0.0) if len(known) == len(row) else None


def status_of(result_drift: BoundRow, observed: Table | None, threshold: float | None) -> Verdict:
    """What bounds and observations say about a threshold, or about having bounds at all."""
    allowed = float("inf") if threshold is None else threshold
    if all(bound is not None and bound <= allowed for bound in result_drift):
        return Verdict.PROVED
    seen = [] if observed is None else [*observed.lower, *observed.upper]
    if any(abs(drift) > allowed for row in seen for drift in row):
        return Verdict.REFUTED
    return Verdict.UNKNOWN


def counts(result: Result, threshold: float | None, what: str) -> tuple[int, int]:
    """Rows for which something was proved, and all rows that were asked about it."""
    if what == "same label":
        labels = result.agreement or ()
        return labels.count(Verdict.PROVED), len(labels)
    within = [b is not None and threshold is not None and b <= threshold for b in result.max_drift]
    return sum(within), len(within) if threshold is not None else 0
