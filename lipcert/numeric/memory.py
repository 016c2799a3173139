"""What is said when memory runs out."""

from collections.abc import Generator
from contextlib import contextmanager

import torch

from lipcert.errors import OutOfMemory

CPU_ALLOCATOR = "DefaultCPUAllocator"  # how torch names who failed on the CPU, in a RuntimeError


@contextmanager
def told_of_memory(doing: str) -> Generator[None]:
    """An allocation that fails becomes an error that says what was done and what to change.

    Args:
        doing: the work, as in "bounding 45 regions".

    Raises:
        OutOfMemory: instead of whatever the allocator raised.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if type(error) is RuntimeError and CPU_ALLOCATOR not in str(error):
            raise
        raise OutOfMemory(
            f"{doing}: memory ran out; give a smaller budget (--memory, Placement(memory=)), "
            "fewer inputs at a time, or --dtype float32"
        ) from error
