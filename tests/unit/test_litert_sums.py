"""Codes of sums in LiteRT's arithmetic: no channel's limit is another's."""

import numpy as np
import torch

from lipcert.integer.litert.fixed_point import Multiplier
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.kernels import Scaled
from lipcert.sets.enclosure import Interval

LARGEST = np.array([2**20, 2**30])  # sums that each channel's multiplier can shift
FACTORS = np.array([4.0, 2.0**-26])


def test_a_channel_that_is_shifted_far_does_not_cut_another_ones_sums() -> None:
    factor = Multiplier.of(FACTORS)
    factor.refuse_overflow(LARGEST)
    kernel = Scaled(factor, Grid(1.0, 0, -128, 127))
    top = torch.tensor(LARGEST[None], dtype=torch.float64)
    low, high = kernel.of_sums(np.ones(2), first=False).codes(Interval(-top, top))
    assert (low.numpy() <= kernel.rounded(-LARGEST[None])).all()
    assert (high.numpy() >= kernel.rounded(LARGEST[None])).all()
    assert (high.numpy() - kernel.rounded(LARGEST[None]) <= 4 * FACTORS + 1).all()
