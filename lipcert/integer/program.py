"""A quantised network as integer steps: codes in, codes out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.encoding import Encoding, Single
from lipcert.integer.window import Sizes, Window

LARGEST_SUM = 2**31 - 1  # of an int32 accumulator
LARGEST_CODE = 255


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Integer weights of a product, one row per output channel.

    Args:
        codes: (outputs, inputs per group, *kernel) as stored.
        zero_point: (outputs,).
        scale: (outputs,) float32.
        bias: (outputs,) int32, in units of input scale times weight scale.
    """

    codes: NDArray[np.int64]
    zero_point: NDArray[np.int64]
    scale: Single
    bias: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse what an int32 accumulator could not hold for every input."""
        size = np.abs(self.centred).sum(axis=1) * LARGEST_CODE + np.abs(self.bias)
        if size.max(initial=0) > LARGEST_SUM:
            raise UnsupportedOp("may overflow its int32 accumulator")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise BadFile("a weight scale is not a positive number")

    @property
    def outputs(self) -> int:
        """Output channels."""
        return len(self.codes)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Codes along the reduction, channels last: (outputs, kernel * inputs per group)."""
        return np.moveaxis(self.codes, 1, -1).reshape(self.outputs, -1)

    @property
    def centred(self) -> NDArray[np.int64]:
        """`rows` less the zero points."""
        return self.rows - self.zero_point[:, None]


@dataclass(frozen=True, slots=True)
class Quantise:
    """Codes of the network's float32 input."""


@dataclass(frozen=True, slots=True)
class Recode:
    """Codes of the same values in another encoding."""


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A product with a matrix over the last axis.

    Args:
        weights: (outputs, inputs).
        narrow: whether x86 kernels without VNNI add its pairs of products at 16 bits.
    """

    weights: Weights
    narrow: bool


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """A sliding product in `groups` groups.

    Args:
        weights: (outputs, inputs per group, *kernel).
        narrow: whether x86 kernels without VNNI add its pairs of products at 16 bits.
        window: over the input map.
        groups: of channels.
    """

    weights: Weights
    narrow: bool
    window: Window
    groups: int


@dataclass(frozen=True, slots=True)
class Addition:
    """The sum of two values."""


@dataclass(frozen=True, slots=True)
class Average:
    """Means over windows; over the whole map where there is no window.

    Args:
        window: without dilation.
        count_padding: whether padding counts in the divisor.
    """

    window: Window | None
    count_padding: bool = False


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same codes in another shape, the batch axis aside; one entry may be -1."""

    shape: Sizes


Product = Dense | Convolution
Operation = Quantise | Recode | Dense | Convolution | Addition | Average | Reshape


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One kernel call.

    Args:
        name: unique; the node's name in the user's file.
        operation: what is computed.
        inputs: names of earlier steps; none for `Quantise`.
        encoding: of the codes it makes.
        floor: smallest code let through: the zero point behind a ReLU, else the lowest code.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    encoding: Encoding
    floor: int


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Integer steps in the order they run; the last makes the output.

    Args:
        steps: topologically ordered, names unique.
        source: the user's file.
        input_name: of the network's input in the file.
        input_shape: of one input, the batch axis aside.
    """

    steps: tuple[Step, ...]
    source: str
    input_name: str
    input_shape: Sizes

    def __getitem__(self, name: str) -> Step:
        """The step of that name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def output(self) -> Step:
        """The step whose codes are the network's output."""
        return self.steps[-1]

    def products(self) -> tuple[tuple[Step, Product], ...]:
        """The steps that multiply with weights, beside their operations."""
        return tuple(
            (step, step.operation) for step in self.steps if isinstance(step.operation, Product)
        )
