"""What computes: audits ask for the hardware by name."""

import platform
from pathlib import Path

CPUS = Path("/proc/cpuinfo")  # on Linux, where Python does not tell the model


def machine() -> str:
    """Processor, architecture, system and Python."""
    parts = (_model(), f"{platform.machine()} {platform.system()}")
    return ", ".join([part for part in parts if part] + [f"Python {platform.python_version()}"])


def _model() -> str:
    """The processor's model; empty where nobody tells it."""
    try:
        lines = CPUS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
