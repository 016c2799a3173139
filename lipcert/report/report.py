"""A certificate and what was asked of it."""

from dataclasses import dataclass

import torch

from lipcert.certificate.certificate import Certificate
from lipcert.certificate.verdict import Verdict
from lipcert.report.number import above, below
from lipcert.report.word import count, method_words, region_words
from lipcert.sets.enclosure import Interval

VISIBLE = 1e-3  # of the largest drift seen: less of a difference is not shown in tables


@dataclass(frozen=True, slots=True)
class Row:
    """The drift around one input, over all outputs.

    Args:
        proved: upper bound.
        seen: largest that was found; None where nothing was searched.
        allowed: what it is held against.
    """

    proved: float
    seen: float | None
    allowed: float

    @property
    def verdict(self) -> Verdict:
        """About the allowed drift."""
        if self.proved <= self.allowed:
            return Verdict.PROVED
        if self.seen is not None and self.seen > self.allowed:
            return Verdict.REFUTED
        return Verdict.UNKNOWN

    @property
    def sentence(self) -> str:
        """Both sides in words."""
        seen = "nothing was searched" if self.seen is None else f"seen: {below(self.seen)}"
        return f"{self.verdict}: drift at most {above(self.proved)} ({seen})"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What is told about one certificate.

    Args:
        certificate: the result.
        max_drift: the drift that is allowed; None where only the bound was asked for.
    """

    certificate: Certificate
    max_drift: float | None = None

    @property
    def proved(self) -> float:
        """Proved upper bound of the drift over everything."""
        return float(self.certificate.max_drift.max())

    @property
    def seen(self) -> float | None:
        """Largest drift found anywhere."""
        found = self.certificate.observed_drift
        return None if found is None else float(found.max())

    @property
    def verdict(self) -> Verdict:
        """About the allowed drift, or about having a bound at all."""
        return self.certificate.verdict(self.allowed)

    @property
    def allowed(self) -> float:
        """The allowed drift; any finite one where only the bound was asked for."""
        return torch.finfo(torch.float64).max if self.max_drift is None else self.max_drift

    @property
    def rows(self) -> tuple["Row", ...]:
        """What is known around each input."""
        seen = self.certificate.observed_drift
        found = [None] * self.certificate.region.batch if seen is None else seen.tolist()
        proved = self.certificate.max_drift.tolist()
        return tuple(Row(p, s, self.allowed) for p, s in zip(proved, found, strict=True))

    @property
    def sentence(self) -> str:
        """The verdict in one line of plain words."""
        where = region_words(self.certificate.region)
        return f"{self.verdict.upper()} ({self.how}): over {where} {self._finding()}"

    @property
    def how(self) -> str:
        """Method and arithmetic: no bound is told without them."""
        made = self.certificate
        return f"{method_words(made.method)}, {made.semantics} arithmetic"

    def around(self, number: int, row: Row) -> str:
        """What is known around one input, in words."""
        region = region_words(self.certificate.region.part(slice(number, number + 1)))
        return f"{row.sentence} over {region} ({self.how})"

    @property
    def runtime(self) -> Interval | None:
        """The runtime's extreme drifts where they differ visibly from the observed ones."""
        seen, gap = self.certificate.observed, self.runtime_gap
        if seen is None or gap is None or gap <= VISIBLE * float(seen.drift.magnitude().max()):
            return None
        return seen.runtime

    @property
    def runtime_gap(self) -> float | None:
        """Largest difference between the runtime's drifts and those of exact arithmetic."""
        seen = self.certificate.observed
        if seen is None or seen.runtime is None:
            return None
        sides = ((seen.runtime.lower, seen.lower), (seen.runtime.upper, seen.upper))
        return max(float((there - here).abs().max()) for there, here in sides)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the bounds do not cover and yet was seen."""
        return (*self._beyond_the_bounds(), *self._saturating())

    def _beyond_the_bounds(self) -> tuple[str, ...]:
        made, seen = self.certificate, self.certificate.observed
        if seen is None or seen.runtime is None:
            return ()
        excess = torch.maximum(
            seen.runtime.upper - made.drift.upper, made.drift.lower - seen.runtime.lower
        )
        rows = int((excess > 0).flatten(1).any(1).sum())
        if rows == 0:
            return ()
        return (
            f"on {count(rows, 'input')} the drift that the runtime computes exceeds the proved "
            f"bound, by up to {above(float(excess.max()), 2)}: rounding inside the runtime "
            f"({seen.runtime_name}) is not part of semantics '{made.semantics}'",
        )

    def _saturating(self) -> tuple[str, ...]:
        made = self.certificate
        found = made.provenance.saturation
        if found is None or not found.unsafe_layers or made.semantics == "ort-x86-sat16":
            return ()
        layers, remedies = ", ".join(found.unsafe_layers), "; or ".join(found.remedies)
        return (
            f"on x86 processors without VNNI sums may saturate in {layers}: ONNX Runtime's "
            f"default then computes another function than the one certified; {remedies}",
        )

    def _finding(self) -> str:
        proved, verdict = above(self.proved), self.verdict
        seen = "nothing was searched" if self.seen is None else f"seen: {below(self.seen)}"
        if self.max_drift is None:
            if verdict is Verdict.PROVED:
                return f"no output drifts by more than {proved} ({seen})"
            return f"no finite bound on the drift was proved ({seen})"
        allowed = f"{self.max_drift:.6g}"
        if verdict is Verdict.PROVED:
            return f"no output drifts by more than {allowed} (proved: {proved}, {seen})"
        if verdict is Verdict.REFUTED:
            return f"an output drifts by more than {allowed} ({seen}, proved: at most {proved})"
        return f"neither proved nor refuted that drift stays within {allowed} " + (
            f"(proved: at most {proved}, {seen})"
        )
