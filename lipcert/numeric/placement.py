"""Where and in which precision bounds are computed: the caller chooses once."""

from dataclasses import dataclass, field

import psutil
import torch

from lipcert.errors import BadInput


@dataclass(frozen=True, slots=True)
class Placement:
    """Device, dtype and memory budget of a bound computation.

    Args:
        device: "cpu", "cuda" or "cuda:N".
        dtype: torch.float64 or torch.float32; bounds are sound in either.
        memory: bytes that a computation may take; None takes three quarters of what is free.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float64
    memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse a dtype without rounding facts and a device that is not there."""
        if self.dtype not in (torch.float32, torch.float64):
            raise BadInput(f"Placement: dtype must be float32 or float64, got {self.dtype}")
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise BadInput("Placement: no CUDA device is available here; use device='cpu'")
        if self.memory is not None and self.memory <= 0:
            raise BadInput(f"Placement: memory must be positive, got {self.memory} bytes")

    def hardware(self) -> str:
        """What computes, by name where the device alone does not tell."""
        if self.device.type != "cuda":
            return str(self.device)
        return f"{self.device} ({torch.cuda.get_device_name(self.device)})"

    def budget(self) -> int:
        """Bytes that may be used now."""
        if self.memory is not None:
            return self.memory
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0] * 3 // 4
        return psutil.virtual_memory().available * 3 // 4
