r"""Cosines and sines of fractions of the circle, right to the last bit, without a library's."""

import functools
from decimal import Decimal, localcontext

import torch
from torch import Tensor

DIGITS = 40
ROOT_ERROR = 2.0**-53  # of each cosine and sine, absolute


@functools.cache
def roots_of_unity(order: int) -> tuple[Tensor, Tensor]:
    r"""$\cos(2 \pi k / n)$ and $\sin(2 \pi k / n)$ for k < n, each off by at most `ROOT_ERROR`.

    Float64, (n,). Reduced exactly to an eighth of the circle, summed as Taylor series to 40
    digits, rounded once.
    """
    values = [_root(k, order) for k in range(order)]
    cosine, sine = (torch.tensor(v, dtype=torch.float64) for v in zip(*values, strict=True))
    return cosine, sine


def _root(k: int, order: int) -> tuple[float, float]:
    """Cosine and sine of k / order of the circle."""
    eighth, rest = divmod(8 * k, order)
    if eighth % 2:
        rest = order - rest
    cosine, sine = _first_eighth(rest, 8 * order)
    if eighth % 4 in (1, 2):
        cosine, sine = sine, cosine
    return (
        -cosine if eighth in (2, 3, 4, 5) else cosine,
        -sine if eighth in (4, 5, 6, 7) else sine,
    )


def _first_eighth(over: int, under: int) -> tuple[float, float]:
    """Cosine and sine of over / under <= 1/8 of the circle."""
    with localcontext(prec=DIGITS):
        angle = 2 * _pi() * over / under
        cosine = sine = Decimal(0)
        term, degree = Decimal(1), 0
        while abs(term) > Decimal(10) ** -(DIGITS - 4):
            sign = -1 if degree % 4 >= 2 else 1
            if degree % 2:
                sine += sign * term
            else:
                cosine += sign * term
            degree += 1
            term = term * angle / degree
        return float(cosine), float(sine)


@functools.cache
def _pi() -> Decimal:
    """Machin: 16 arctan(1/5) - 4 arctan(1/239)."""
    with localcontext(prec=DIGITS + 10):
        return 16 * _arctan_of_inverse(5) - 4 * _arctan_of_inverse(239)


def _arctan_of_inverse(whole: int) -> Decimal:
    with localcontext(prec=DIGITS + 20):
        power, total, degree = Decimal(1) / whole, Decimal(0), 1
        while power > Decimal(10) ** -(DIGITS + 15):
            total += power / degree if degree % 4 == 1 else -power / degree
            power /= whole * whole
            degree += 2
        return total
