"""One operator on int8 codes as a rule sees it, and the register of rules."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.kernels import Kernel
from lipcert.read.tflite_file import Operator, Stored
from lipcert.read.tflite_grid import NONE, grid_of


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An operator with the tensors that it reads and makes."""

    operator: Operator
    inputs: tuple[Stored | None, ...]
    output: Stored

    def tensor(self, place: int) -> Stored:
        """An input that must be there."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if found is None:
            raise BadFile(f"lacks its input {place}")
        return found

    def constant(self, place: int) -> np.ndarray:
        """An input that the file holds."""
        values = self.tensor(place).values
        if values is None:
            raise UnsupportedOp(f"has an input {place} that is no constant")
        return values

    def grid(self, place: int) -> Grid:
        """Codes of an input."""
        return grid_of(self.tensor(place))

    def target(self, activation: int = NONE) -> Grid:
        """Codes of the result."""
        return grid_of(self.output, activation)

    def same_grid(self, place: int = 0) -> None:
        """Refuses operands and results on different grids: the kernel would not start."""
        self.target()
        if not self.output.same_grid(self.tensor(place)):
            raise UnsupportedOp("moves codes of one scale to where they have another")


Rule = Callable[[Call], Kernel]
KERNELS: dict[str, tuple[Rule, int | None]] = {}


def computes(*kinds: str, operands: int | None = 1) -> Callable[[Rule], Rule]:
    """Registers the kernel of some operators; how many inputs are operands (None: all)."""

    def register(rule: Rule) -> Rule:
        KERNELS.update(dict.fromkeys(kinds, (rule, operands)))
        return rule

    return register


def kernel_of(call: Call) -> Kernel:
    """The kernel of an operator on codes.

    Raises:
        UnsupportedOp: it has none, or not for these tensors.
    """
    if call.operator.kind not in KERNELS:
        raise UnsupportedOp("has no integer kernel")
    return KERNELS[call.operator.kind][0](call)
