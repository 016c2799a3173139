"""Norms in which distances of inputs and of outputs are measured."""

from enum import StrEnum

import torch
from torch import Tensor

from lipcert.errors import BadInput
from lipcert.numeric.rounding import inflate


class Norm(StrEnum):
    """The l_p norm of inputs and outputs alike."""

    ONE = "1"
    TWO = "2"
    MAX = "inf"

    @classmethod
    def named(cls, order: float | str) -> "Norm":
        """The norm of an order.

        Raises:
            BadInput: it is none of these.
        """
        try:
            return cls(f"{float(order):g}")
        except ValueError as error:
            raise BadInput(f"lipschitz: the norm must be 1, 2 or inf, got {order}") from error

    @property
    def order(self) -> float:
        """The p of l_p."""
        return float(self.value)

    def of(self, vectors: Tensor) -> Tensor:
        """Norms of vectors (..., n), as computed."""
        return torch.linalg.vector_norm(vectors, self.order, dim=-1)

    def dual(self, vectors: Tensor) -> Tensor:
        """Vectors of norm one whose product with the given ones (..., n) is largest."""
        if self is Norm.MAX:
            return torch.where(vectors >= 0, 1.0, -1.0).to(vectors)
        if self is Norm.ONE:
            place = vectors.abs().argmax(-1, keepdim=True)
            ones = vectors.gather(-1, place).sign()
            return torch.zeros_like(vectors).scatter(-1, place, ones)
        length = self.of(vectors)[..., None]
        return vectors / length.clamp(min=torch.finfo(vectors.dtype).tiny)


def length_upper(vectors: Tensor) -> Tensor:
    """Upper bound on l2 norms of vectors (..., n), whose squares alone would under- or overflow."""
    peak = vectors.abs().amax(-1, keepdim=True)
    whole = torch.where(peak > 0, peak, torch.ones_like(peak))
    length = torch.linalg.vector_norm(vectors / whole, dim=-1)
    length = inflate(inflate(length, vectors.shape[-1] + 2) * peak[..., 0], 2)
    return torch.where(peak[..., 0].isfinite(), length, torch.inf)
