"""What was really seen: the lower side of every claim."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """Extreme drifts that an attack found, with the inputs that show them.

    Everything is float64 on the CPU. Values are lipcert's own evaluation under the semantics of
    the certificate, so they must lie inside its bounds.

    Args:
        drift: least and greatest g(x) - f(x) found, (batch, *output shape).
        lowest: input of each least drift, (batch, outputs, *input shape), outputs flattened.
        highest: input of each greatest drift, likewise.
        disagreement: per row an input on which the top-1 labels differ, or None.
        runtime: the same extremes as a deployed runtime computes them on these inputs, or None
            where there is no file to run.
        runtime_name: which runtime and configuration, or why there is none.
    """

    drift: Interval
    lowest: Tensor
    highest: Tensor
    disagreement: tuple[Tensor | None, ...]
    runtime: Interval | None
    runtime_name: str

    @property
    def lower(self) -> Tensor:
        """Least drift found, (batch, *output shape)."""
        return self.drift.lower

    @property
    def upper(self) -> Tensor:
        """Greatest drift found, (batch, *output shape)."""
        return self.drift.upper
