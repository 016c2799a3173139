"""How much one operation can enlarge distances, rounded up."""

import torch
from torch import Tensor

from lipcert.gain.symbol import conv_norm_upper
from lipcert.numeric.norm import Norm, length_upper
from lipcert.numeric.rounding import inflate, up
from lipcert.numeric.spectral import spectral_norm_upper
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine
from lipcert.ops.linear import Linear

DENSE = 1 << 19  # entries of a matrix up to which a layer is written out


def affine_gain(op: Affine, inputs: tuple[Shape, ...], below: list[Tensor], norm: Norm) -> Tensor:
    """Bound on the norm of changes of the value, given those of the inputs, (rows,).

    Args:
        op: linear in all inputs together.
        inputs: their shapes.
        below: bounds on the norm of each input's change, each (rows,).
        norm: of every change.
    """
    if norm is Norm.TWO:
        return _euclidean(op, inputs, below)
    if norm is Norm.MAX:
        sizes = [
            b.view(-1, *[1] * len(s)).expand(-1, *s) for b, s in zip(below, inputs, strict=True)
        ]
        return _grown(op.magnitude().linear(*sizes), op).flatten(1).amax(1)
    return _total([up(b * end) for b, end in zip(below, _columns(op, inputs), strict=True)])


def _euclidean(op: Affine, inputs: tuple[Shape, ...], below: list[Tensor]) -> Tensor:
    if isinstance(op, Concat):
        return up(up(torch.sqrt(_total([up(b * b) for b in below]))))
    if len(inputs) == 1:
        return up(below[0] * _spectral(op, inputs[0]))
    return _total([up(b * end) for b, end in zip(below, _between(op, inputs), strict=True)])


def _spectral(op: Affine, shape: Shape) -> float:
    """Upper bound on the spectral norm of an operation with one input."""
    sizes = torch.Size(op.shape(shape)).numel(), torch.Size(shape).numel()
    best = float(_between(op, (shape,))[0])
    if isinstance(op, Linear):
        return min(best, _of_matrix(op, op.weight))
    if sizes[0] * sizes[1] <= DENSE:
        return min(best, _of_matrix(op, dense(op, shape)))
    return min(best, conv_norm_upper(op)) if isinstance(op, Conv) else best


def _of_matrix(op: Affine, matrix: Tensor) -> float:
    """Norm of a matrix whose entries were rounded as the operation's weights were."""
    slack = length_upper(matrix.flatten()) * op.weight_error
    return float(up(spectral_norm_upper(matrix) + inflate(slack, 2)))


def dense(op: Affine, shape: Shape) -> Tensor:
    """The matrix of an operation with one input, (outputs, inputs), in natural order."""
    after = op.shape(shape)
    count = torch.Size(after).numel()
    ones = torch.eye(count, dtype=torch.float64).reshape(count, *after)
    (back,) = op.adjoint(Functional.natural(ones, after))
    return back.in_natural_order().flatten(1)


def rows_upper(op: Affine, shape: Shape) -> Tensor | None:
    """Upper bounds on the l2 norms of what makes every entry of the value, of its shape.

    None for layers too large to be written out.
    """
    after = op.shape(shape)
    if torch.Size(after).numel() * torch.Size(shape).numel() > DENSE:
        return None
    return inflate(length_upper(dense(op, shape)) * (1 + op.weight_error), 2).view(after)


def _between(op: Affine, inputs: tuple[Shape, ...]) -> list[Tensor]:
    r"""Per input, $\sqrt{\|A\|_1 \|A\|_\infty}$."""
    sides = zip(_rows(op, inputs), _columns(op, inputs), strict=True)
    return [up(up(torch.sqrt(up(row * column)))) for row, column in sides]


def _rows(op: Affine, inputs: tuple[Shape, ...]) -> list[Tensor]:
    """Per input, upper bound on the largest sum of absolute weights into one output."""
    blank = [torch.zeros(1, *shape, dtype=torch.float64) for shape in inputs]
    alone = [[*blank[:k], blank[k] + 1, *blank[k + 1 :]] for k in range(len(inputs))]
    return [_grown(op.magnitude().linear(*sizes), op).max() for sizes in alone]


def _columns(op: Affine, inputs: tuple[Shape, ...]) -> list[Tensor]:
    """Per input, upper bound on the largest sum of absolute weights out of one coordinate."""
    after = op.shape(*inputs)
    ones = Functional.natural(torch.ones(1, *after, dtype=torch.float64), after)
    return [_grown(part.values, op).max() for part in op.magnitude().adjoint(ones)]


def _grown(sums: Tensor, op: Affine) -> Tensor:
    """Sums of absolute weights rounded up, and of the true weights where those differ."""
    return inflate(inflate(sums, op.terms) * (1 + op.weight_error), 1)


def _total(parts: list[Tensor]) -> Tensor:
    """Sum, rounded up."""
    total = parts[0]
    for part in parts[1:]:
        total = up(total + part)
    return total


def softmax_gain() -> float:
    r"""Largest norm, l1, l2 or l-infinity, of the Jacobian of a softmax.

    $\mathrm{diag}(p) - p p^T$ is symmetric, and the sizes in row i add up to 2 p_i (1 - p_i).
    """
    return 0.5
