"""What every command does with a terminal: complaints, exit statuses, idle cores."""

from collections.abc import Generator
from contextlib import contextmanager

import psutil
import torch
import typer
from rich.console import Console
from rich.text import Text

from lipcert.errors import LipcertError

UNMET, REFUSED = 1, 2  # exit statuses; bad usage is 2 by the parser's own custom


def output() -> Console:
    """Where results go."""
    return Console(highlight=False)


def errors() -> Console:
    """Where progress, warnings and complaints go."""
    return Console(stderr=True, highlight=False)


def say(message: str, console: Console) -> None:
    """One line as it is, however narrow the terminal."""
    console.print(Text(message), soft_wrap=True)


@contextmanager
def complaints() -> Generator[Console]:
    """What is wrong with the user's input as one red line and exit status 2."""
    console = errors()
    try:
        yield console
    except (LipcertError, OSError) as error:
        console.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        raise typer.Exit(REFUSED) from error


def idle_cores() -> int:
    """Threads beside which nothing else runs: small work slows fivefold where threads wait."""
    cores = psutil.cpu_count() or 1
    idle = round(cores * (1 - psutil.cpu_percent(interval=0.2) / 100))
    return max(1, min(idle, torch.get_num_threads()))
