"""Long tables cut to their worst rows."""

from torch import Tensor

MOST = 10


def worst(badness: Tensor) -> list[int]:
    """Places of the worst entries, worst first; in their own order where all can be shown."""
    if len(badness) <= MOST:
        return list(range(len(badness)))
    return badness.argsort(descending=True, stable=True)[:MOST].tolist()


def rest(total: int, noun: str) -> str | None:
    """How many are not shown."""
    return f"the worst {MOST}; {total - MOST} more {noun}" if total > MOST else None
