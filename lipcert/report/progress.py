"""A progress bar that follows long work."""

import re
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from lipcert.walk.progress import Watch

WIDTH = 44  # of a stage's name, which then does not push the bar about


@contextmanager
def bar(console: Console) -> Generator[Watch]:
    """A watch that draws the current stage on a terminal, and leaves nothing behind."""
    stage = Column(width=WIDTH, no_wrap=True, overflow="ellipsis")
    columns = (
        TextColumn("{task.description}", markup=False, table_column=stage),
        BarColumn(bar_width=None),
        TimeElapsedColumn(),
    )
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("starting", total=None)

        def watch(stage: str, done: int, total: int) -> None:
            progress.update(task, description=_short(stage), completed=done, total=total)

        yield watch


def _short(stage: str) -> str:
    """Files without their folders."""
    return re.sub(r"\S*/", "", stage)
