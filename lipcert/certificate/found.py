"""Inputs that an attack found, each kept once."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from lipcert.certificate.observed import Observed
from lipcert.certificate.result import Counterexample
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Distinct inputs, and who refers to them.

    Args:
        inputs: (found, *shape), float64.
        lowest: which of them shows each least drift, (batch, outputs).
        highest: which shows each greatest drift, likewise.
        differing: per row one on which the labels differ, or None.
        drift: what they show, (batch, outputs).
    """

    inputs: Tensor
    lowest: Tensor
    highest: Tensor
    differing: tuple[int | None, ...]
    drift: Interval

    @classmethod
    def of(cls, observed: Observed | None) -> Self:
        """Of what was observed; empty where nothing was."""
        none = torch.zeros(0, 0, dtype=torch.int64)
        if observed is None:
            nothing = torch.zeros(0)
            return cls(nothing, none, none, (), Interval(nothing, nothing))
        sets = [observed.lowest.flatten(0, 1), observed.highest.flatten(0, 1)]
        sets += [point[None] for point in observed.disagreement if point is not None]
        inputs, place = torch.cat(sets).unique(dim=0, return_inverse=True)
        batch, outputs = observed.lowest.shape[:2]
        count = batch * outputs
        later = iter(place[2 * count :].tolist())
        return cls(
            inputs,
            place[:count].view(batch, outputs),
            place[count : 2 * count].view(batch, outputs),
            tuple(None if point is None else next(later) for point in observed.disagreement),
            Interval(observed.drift.lower.flatten(1), observed.drift.upper.flatten(1)),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """As they are stored; nothing where nothing was observed."""
        if self.inputs.numel() == 0:
            return {}
        single = self.inputs.float()
        exact = bool((single.double() == self.inputs).all())
        return {
            "found": (single if exact else self.inputs).numpy(),
            "lowest": self.lowest.numpy(),
            "highest": self.highest.numpy(),
        }

    def against(self, threshold: float | None) -> list[Counterexample]:
        """Per row the largest drift, where it is above the threshold, and a change of label."""
        found: list[Counterexample] = []
        for row, label in enumerate(self.differing):
            size, output = self.drift.magnitude()[row].max(0)
            if threshold is not None and float(size) > threshold:
                falls = float(-self.drift.lower[row, output]) == float(size)
                which = (self.lowest if falls else self.highest)[row, output]
                found.append(_entry("drift", row, int(output), int(which)))
            if label is not None:
                found.append(_entry("label", row, None, label))
        return found


def _entry(
    kind: Literal["drift", "label"], row: int, output: int | None, place: int
) -> Counterexample:
    return Counterexample(kind=kind, row=row, output=output, input=place, runtime=None)
