"""The arithmetic that bounds are computed in: plain IEEE sums of products."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def direct_arithmetic() -> Generator[None]:
    """No TF32, no bfloat16 products, no flushing, no autograd; what was set before comes back.

    gamma_n covers sums of correctly rounded products in any order and nothing else.
    """
    precision = torch.get_float32_matmul_precision()
    flushing = sys.float_info.min / 2 == 0
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    plain = (torch.autocast(device, enabled=False) for device in ("cpu", "cuda"))
    try:
        with torch.no_grad(), next(plain), next(plain):
            yield
    finally:
        torch.set_flush_denormal(flushing)
        torch.set_float32_matmul_precision(precision)
