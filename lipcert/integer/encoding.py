"""How integer codes stand for real numbers, with the float32 arithmetic of runtimes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadFile

Codes = NDArray[np.int64]  # (batch, *shape): codes of any width, held without overflow
Single = NDArray[np.float32]
LIMITS = {
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """Code c stands for scale (c - zero_point).

    Args:
        scale: positive, a float32 number.
        zero_point: between `lowest` and `highest`.
        lowest: smallest code; quantisation saturates there.
        highest: largest code.
    """

    scale: float
    zero_point: int
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        """Refuse scales that runtimes could not divide by."""
        if not (0 < self.scale < float("inf") and float(np.float32(self.scale)) == self.scale):
            raise BadFile(f"quantisation scale {self.scale} is not a positive float32 number")
        if not self.lowest <= self.zero_point <= self.highest:
            raise BadFile(
                f"zero point {self.zero_point} lies outside the codes "
                f"{self.lowest} to {self.highest}"
            )

    @classmethod
    def of(cls, scale: np.ndarray, zero_point: np.ndarray) -> "Encoding":
        """From the stored scalars; the zero point's type is that of the codes."""
        if scale.size != 1 or zero_point.size != 1:
            raise BadFile("an activation is quantised with one scale and one zero point")
        lowest, highest = LIMITS[zero_point.dtype.name]
        return cls(float(scale.reshape(())), int(zero_point.reshape(())), lowest, highest)

    @property
    def bytes_wide(self) -> bool:
        """Whether there are 256 codes, as the integer kernels of products need."""
        return self.highest - self.lowest == 255

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The integer type that holds the codes."""
        name = next(n for n, limits in LIMITS.items() if limits == (self.lowest, self.highest))
        return np.dtype(name if name not in ("int4", "uint4") else name.replace("4", "8"))

    def saturate(self, shifted: NDArray[np.floating]) -> Codes:
        """Codes of rounded values that are still without the zero point; NaN becomes `lowest`."""
        low, high = self.lowest - self.zero_point, self.highest - self.zero_point
        inside = np.clip(np.where(np.isnan(shifted), low, shifted), low, high)
        return inside.astype(np.int64) + self.zero_point

    def quantise(self, values: Single) -> Codes:
        """Round half to even after a float32 division, then saturate."""
        with np.errstate(over="ignore"):  # an infinite quotient saturates
            return self.saturate(np.rint(values / np.float32(self.scale)))

    def dequantise(self, codes: Codes) -> Single:
        """The float32 values of codes."""
        return (codes - self.zero_point).astype(np.float32) * np.float32(self.scale)
