"""The closed set of kinds: what an operation states so that every method can use it.

Values are batched, (batch, *shape); shapes never include the batch axis. An operation is a frozen
value; tensors in it are float64 on the CPU until `placed` moves them.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from lipcert.errors import BadInput
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.functional import Functional, Shape
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Two lines per neuron: `lower_slope x + lower_intercept <= value(x) <= upper ...`."""

    lower_slope: Tensor
    lower_intercept: Tensor
    upper_slope: Tensor
    upper_intercept: Tensor


class Op(ABC):
    """A function of one or more node values."""

    __slots__ = ()

    @abstractmethod
    def value(self, *inputs: Tensor) -> Tensor:
        """The function on batched values, differentiable where the function is."""

    @abstractmethod
    def shape(self, *inputs: Shape) -> Shape:
        """Shape of the value, without batch."""

    def parameters(self) -> dict[str, object]:
        """Every field under its name."""
        return {field.name: getattr(self, field.name) for field in fields(cast(Any, self))}

    def with_parameters(self, changes: Mapping[str, object]) -> Self:
        """The same operation with some fields replaced."""
        return cast(Self, replace(cast(Any, self), **changes))

    def placed(self, placement: Placement) -> Self:
        """The same operation with its floating-point tensors on a device and in a dtype."""
        moved: dict[str, Tensor] = {}
        exact = True
        for name, tensor in self.parameters().items():
            if isinstance(tensor, Tensor):
                dtype = placement.dtype if tensor.is_floating_point() else tensor.dtype
                if (tensor.dtype, tensor.device) == (dtype, placement.device):
                    continue
                moved[name] = tensor.to(placement.device, dtype)
                back = moved[name].to(tensor.device, tensor.dtype)
                if not torch.equal(back, tensor):
                    exact = False
                    self._refuse_lost(moved[name], (back != tensor).to(placement.device))
        if not moved:
            return self
        result = self.with_parameters(moved)
        return result if exact else result.rounded(unit_roundoff(placement.dtype))

    def _refuse_lost(self, moved: Tensor, off: Tensor) -> None:
        """Overflow has no relative error; underflow has one only where a method counts it."""
        lost = off & ~moved.isfinite()
        if moved.is_floating_point() and not isinstance(self, Affine):
            lost |= off & (moved.abs() < torch.finfo(moved.dtype).tiny)
        if bool(lost.any()):
            raise BadInput(
                f"{type(self).__name__}: its parameters leave the range of {moved.dtype}; "
                "use dtype float64"
            )

    def executed(self, executed: bool) -> Self:
        """The same operation as a float32 or integer runtime executes it, or as stored."""
        return self

    def in_fixed_point(self) -> Self:
        """The same operation as LiteRT's kernels execute it on int8 codes."""
        return self

    def rounded(self, relative: float) -> Self:
        """The same operation after its tensors moved by at most `relative` of themselves."""
        raise BadInput(
            f"{type(self).__name__}: its parameters cannot be written in the chosen dtype; "
            "use dtype float64"
        )


class Affine(Op):
    """`value = linear + constant`, linear in all inputs together.

    Stored weights may differ from the true ones by `weight_error` of their own magnitude; sums
    take at most `terms` terms in either direction.
    """

    __slots__ = ()

    @abstractmethod
    def linear(self, *inputs: Tensor) -> Tensor:
        """The linear part, on a kernel that sums products directly (no Winograd, no FFT)."""

    @abstractmethod
    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Coefficients on each input of a functional on the linear part."""

    @abstractmethod
    def magnitude(self) -> Self:
        """The operation with absolute weights and absolute constant."""

    @abstractmethod
    def minus(self, other: Op) -> "Affine | None":
        """`self - other` as one operation of the same form, or None where they are equal.

        Each weight is rounded once: counted in `terms`. Raises TypeError where the two do not
        have one form: see `same_form`.
        """

    @abstractmethod
    def same_form(self, other: Op) -> bool:
        """Whether `minus` is defined."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """Most summands of one sum, in `linear` or in `adjoint`, with two to spare."""

    @property
    def weight_error(self) -> float:
        """Relative error of the stored weights and constant against the true ones."""
        return 0.0

    @property
    def exact(self) -> bool:
        """Whether every value is some input's value: nothing is weighted, summed or rounded."""
        return False

    def constant(self, like: Tensor) -> Tensor | None:
        """The constant part, broadcastable to the node's shape; None where it is zero."""
        return None

    def value(self, *inputs: Tensor) -> Tensor:
        """Linear part plus constant."""
        constant = self.constant(inputs[0])
        linear = self.linear(*inputs)
        return linear if constant is None else linear + constant

    def coordinates(self, index: Tensor, shape: Shape, like: Tensor) -> tuple[Functional, ...]:
        """Coefficients on the inputs of single coordinates of the value; `shape` is the value's."""
        return self.adjoint(Functional.unit(index, shape, like))


class Elementwise(Op):
    """One scalar function at every coordinate, perhaps with parameters per coordinate."""

    __slots__ = ()

    def shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        return inputs[0]

    @abstractmethod
    def slope(self, box: Interval) -> Interval:
        """Sector: every difference quotient within `box` lies in it, rounded outward."""

    @abstractmethod
    def image(self, box: Interval) -> Interval:
        """Enclosure of the values on `box`."""

    @abstractmethod
    def slopes(self, box: Interval) -> Tensor:
        """Slopes worth trying for a line below or above the function: (candidates, batch, ...)."""

    @abstractmethod
    def remainder(self, box: Interval, slope: Tensor) -> Interval:
        """Proved enclosure of `value(x) - slope x` over `box`; any slope is allowed.

        Slopes may have more axes in front than the box.
        """

    @abstractmethod
    def settled(self, box: Interval) -> Tensor:
        """Where a tighter `box` could not, or hardly, tighten the lines: affine functions do."""

    def lines(self, box: Interval) -> Lines:
        """Of the candidate slopes, the lines that are best at the middle of `box`.

        Exact-intercept rule: for any slope the line is sound, since its intercept is the proved
        extremum of what remains. For ReLU this is CROWN's adaptive choice.
        """
        slopes = self.slopes(box)
        left = self.remainder(box, slopes)
        rise = slopes * box.centre
        best = (rise + left.lower).argmax(0, keepdim=True)
        least = (rise + left.upper).argmin(0, keepdim=True)
        return Lines(
            slopes.gather(0, best)[0],
            left.lower.gather(0, best)[0],
            slopes.gather(0, least)[0],
            left.upper.gather(0, least)[0],
        )


class Cornered(Elementwise):
    """A function with few points that decide about its graph over any interval."""

    __slots__ = ()

    @abstractmethod
    def corners(self, box: Interval) -> list[tuple[Tensor, Tensor]]:
        """Places and values (or limits of values) whose hull contains the graph over `box`.

        Each is off by no more than `pad` allows for.
        """

    @abstractmethod
    def pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Above the error of `value - slope place` at every corner; affine in |slope|."""

    def remainder(self, box: Interval, slope: Tensor) -> Interval:
        """Exact extremes over the corners, widened by rounding."""
        seen = [value - slope * place for place, value in self.corners(box)]
        pad = self.pad(box, slope)
        return Interval(
            down(functools.reduce(torch.minimum, seen) - pad),
            up(functools.reduce(torch.maximum, seen) + pad),
        )


class Coupled(Op):
    """A nonlinear function of several coordinates at once, such as softmax."""

    __slots__ = ()

    @abstractmethod
    def image(self, box: Interval) -> Interval:
        """Enclosure of the values on `box`."""


def outward(lower: Tensor, upper: Tensor, pad: Tensor) -> Interval:
    """`[lower - pad, upper + pad]`, rounded outward."""
    return Interval(down(lower - up(pad)), up(upper + up(pad)))


def same(first: Op, second: Op) -> bool:
    """Whether two operations are the same function: one type, equal parameters."""
    if type(first) is not type(second):
        return False
    others = second.parameters()
    for name, mine in first.parameters().items():
        theirs = others[name]
        if isinstance(mine, Tensor) and isinstance(theirs, Tensor):
            if mine.shape != theirs.shape or not bool((mine == theirs).all()):
                return False
        elif mine != theirs:
            return False
    return True
