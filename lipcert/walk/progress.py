"""Telling somebody how far long work is."""

from collections.abc import Callable

Watch = Callable[[str, int, int], None]  # stage, steps done, steps in all


def quiet(_stage: str, _done: int, _total: int) -> None:
    """Watch nothing."""
