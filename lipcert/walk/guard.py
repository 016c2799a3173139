"""The arithmetic that bounds are computed in: plain IEEE sums of products."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def direct_arithmetic() -> Generator[None]:
    """No TF32, no bfloat16 products, no autograd; what was set before comes back.

    gamma_n covers sums of correctly rounded products in any order and nothing else.
    """
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
