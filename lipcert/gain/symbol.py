r"""A convolution's symbol, and through it a proved upper bound on the convolution's norm.

A zero-padded convolution is a compression of the convolution on any torus that is large enough for
nothing to wrap around; that one is block-diagonal in the Fourier basis, with the symbol
$H(\theta) = \sum_q W_q e^{i q \theta}$ as blocks. A convolution of stride s is one of stride 1 on
s times as many channels per axis (its polyphase components).

Source: H. Sedghi, V. Gupta, P. Long, The singular values of convolutional layers, ICLR 2019.
"""

import math

import torch
from torch import Tensor

from lipcert.numeric.circle import ROOT_ERROR, roots_of_unity
from lipcert.numeric.norm import length_upper
from lipcert.numeric.rounding import gamma, inflate, up
from lipcert.numeric.spectral import spectral_norm_upper
from lipcert.ops.conv import Conv

LARGEST_GRID = 48  # frequencies per axis; more are bounded by these
ENTRIES = 1 << 22  # of the matrices that are bounded at a time


def conv_norm_upper(op: Conv) -> float:
    r"""Upper bound on the spectral norm of a zero-padded, strided, dilated, grouped convolution.

    On maps wider than `LARGEST_GRID` the symbol is sampled: a real trigonometric polynomial of
    degree m is at most $1 / \cos(\pi m / N)$ times its largest value at N > 2 m even points
    (Ehlich, Zeller 1964), applied to $\mathrm{Re}\, u^* H v$, axis by axis.

    Returns:
        u >= ||conv||_2, output units per input unit.
    """
    kernel = polyphase(op)
    _, height, width = op.input_shape
    sizes = [
        _grid(extent + max(0, *pads), _step(op, axis), taps)
        for axis, extent, pads, taps in zip(
            (0, 1), (height, width), (op.pads[0::2], op.pads[1::2]), kernel.shape[-2:], strict=True
        )
    ]
    largest = _largest(kernel, sizes[0][0], sizes[1][0])
    size = kernel.abs().sum((-2, -1))
    size = inflate(size, kernel[0, 0, 0].numel())
    weight = length_upper(size.flatten(-2))
    slack = weight.max() * (symbol_error(kernel.shape[-2:]) + op.weight_error)
    return float(up(up(largest + inflate(slack, 4)) * (sizes[0][1] * sizes[1][1])))


def polyphase(op: Conv) -> Tensor:
    """Kernel of the same convolution with stride 1: (groups, out, in x phases, taps, taps)."""
    outer, inner, high, wide = op.weight.shape
    steps = _step(op, 0), _step(op, 1)
    rows, columns = (
        torch.arange(count) * dilation
        for count, dilation in zip((high, wide), op.dilation, strict=True)
    )
    taps = [int(o[-1]) // s + 1 for o, s in zip((rows, columns), steps, strict=True)]
    kernel = op.weight.new_zeros(outer, inner, *steps, *taps)
    y, x = rows[:, None], columns[None, :]
    where = (y % steps[0], x % steps[1], y // steps[0], x // steps[1])
    kernel[:, :, where[0], where[1], where[2], where[3]] = op.weight
    return kernel.flatten(1, 3).unflatten(0, (op.groups, -1))


def _step(op: Conv, axis: int) -> int:
    """The stride; with a single output, a stride beyond the kernel, which changes nothing."""
    if op.shape(op.input_shape)[axis + 1] > 1:
        return op.stride[axis]
    return (op.weight.shape[axis + 2] - 1) * op.dilation[axis] + 1


def _grid(extent: int, step: int, taps: int) -> tuple[int, float]:
    """Number of frequencies, and what the largest value at them is to be multiplied by."""
    whole, degree = -(-extent // step), taps // 2
    if whole <= LARGEST_GRID or 8 * degree > LARGEST_GRID:
        return whole, 1.0
    cosine = float(roots_of_unity(2 * LARGEST_GRID)[0][degree]) - ROOT_ERROR
    return LARGEST_GRID, math.nextafter(1 / cosine, math.inf)


def symbol_error(taps: tuple[int, int] | torch.Size) -> float:
    """Relative to the sums of absolute weights, how far an entry of a computed symbol may be off.

    Two products of lengths `wide` and `2 high` with roots that are off by one rounding; the
    modulus of a complex entry is at most sqrt(2) times its larger part.
    """
    high, wide = taps
    return 8 * gamma(wide + 2 * high + 8, torch.float64)


def symbols(
    kernel: Tensor,
    rows: Tensor,
    columns: Tensor,
    order: tuple[int, int],
    places: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    r"""$\sum_q W_q e^{2 \pi i (f_1 q_1 / n_1 + f_2 q_2 / n_2)}$, off by `symbol_error`.

    Args:
        kernel: (..., high, wide).
        rows: (frequencies,) whole numbers f_1.
        columns: (frequencies',) whole numbers f_2.
        order: n_1 and n_2.
        places: q_1 and q_2 of the taps; one after the other from zero by default.

    Returns:
        (2, ..., frequencies, frequencies'): real and imaginary parts.
    """
    places = places or (torch.arange(kernel.shape[-2]), torch.arange(kernel.shape[-1]))
    (c1, s1), (c2, s2) = (
        _phases(f, n, q) for f, n, q in zip((rows, columns), order, places, strict=True)
    )
    parts = torch.cat([kernel @ c2.T, kernel @ s2.T], -2)
    return torch.stack([torch.cat([c1, -s1], 1) @ parts, torch.cat([s1, c1], 1) @ parts])


def _phases(frequencies: Tensor, order: int, places: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of f q / n of the circle, (frequencies, taps)."""
    place = (frequencies[:, None] * places) % order
    cosine, sine = roots_of_unity(order)
    return cosine[place], sine[place]


def _largest(kernel: Tensor, high: int, wide: int) -> Tensor:
    """Upper bound on the norm of the computed symbol over a grid of frequencies.

    The symbol at the negative frequency is the conjugate: half of one axis will do.
    """
    columns = torch.arange(wide // 2 + 1)
    most = max(1, ENTRIES // (4 * kernel[..., 0, 0].numel() * len(columns)))
    found = kernel.new_zeros(())
    for first in range(0, high, most):
        rows = torch.arange(first, min(high, first + most))
        real, imaginary = symbols(kernel, rows, columns, (high, wide)).movedim((-2, -1), (1, 2))
        found = torch.maximum(found, spectral_norm_upper(embedded(real, imaginary)).max())
    return found


def embedded(real: Tensor, imaginary: Tensor) -> Tensor:
    """Complex matrices as real ones of twice the size with the same norm."""
    top = torch.cat([real, -imaginary], -1)
    return torch.cat([top, torch.cat([imaginary, real], -1)], -2)
