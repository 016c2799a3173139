r"""Outward rounding in any float dtype, on any device.

Every function is sound for round-to-nearest arithmetic with any summation order, fused or not,
with gradual underflow or flush to zero. Source: N. Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., sec. 3.1 (gamma_n) and 3.5 (matrix products).
"""

import functools
import math

import torch
from torch import Tensor


def unit_roundoff(dtype: torch.dtype) -> float:
    """Half the distance from 1 to the next number: 2^-53 in float64, 2^-24 in float32."""
    return torch.finfo(dtype).eps / 2


def gamma(terms: int, dtype: torch.dtype) -> float:
    r"""Upper bound on $\gamma_n = n u / (1 - n u)$, infinite from n u >= 1/4 on.

    A sum of `terms` products computed in any order differs from the exact one by at most
    gamma times the sum of the absolute products (Higham, eq. 3.4 and 3.5).
    """
    product = terms * unit_roundoff(dtype)
    return math.inf if product >= 0.25 else product / (1 - product) * (1 + 1e-9)


@functools.cache
def _infinity(dtype: torch.dtype, device: torch.device, sign: int) -> Tensor:
    """Made once: making a tensor costs more than rounding a small one."""
    return torch.tensor(sign * math.inf, dtype=dtype, device=device)


def up(value: Tensor) -> Tensor:
    """The next number above, so that one correctly rounded operation is bounded above."""
    return torch.nextafter(value, _infinity(value.dtype, value.device, 1))


def down(value: Tensor) -> Tensor:
    """The next number below, so that one correctly rounded operation is bounded below."""
    return torch.nextafter(value, _infinity(value.dtype, value.device, -1))


def inflate(value: Tensor, terms: int) -> Tensor:
    """Upper bound on a sum of `terms` nonnegative products that was computed as `value`.

    Adds what underflow can have lost: at most the smallest normal number per term. Twice gamma_n
    pays for the roundings of the sum and for those here.
    """
    lost = 2 * (terms + 1) * torch.finfo(value.dtype).tiny
    return (value * (1 + 2 * gamma(terms + 4, value.dtype))).add_(lost)


def cast_down(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Largest-effort lower bound of `value` in another dtype: rounded towards minus infinity."""
    rounded = value.to(dtype)
    return torch.where(rounded.to(value.dtype) > value, down(rounded), rounded)


def cast_up(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Upper bound of `value` in another dtype: rounded towards infinity."""
    return -cast_down(-value, dtype)
