"""What every command does with a terminal: complaints, exit statuses, idle cores."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import psutil
import torch
import typer
from rich.console import Console
from rich.text import Text

from lipcert.errors import LipcertError, OutOfReach
from lipcert.numeric.placement import Placement

GIB = 2**30
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
        status = UNMET if isinstance(error, OutOfReach) else REFUSED
        raise typer.Exit(status) from error


def warn(warnings: Sequence[str], console: Console) -> None:
    """One yellow line each."""
    for warning in warnings:
        console.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


def placement_of(device: str, dtype: str, memory: float | None, threads: int | None) -> Placement:
    """Where and in what to compute; sets the number of threads."""
    torch.set_num_threads(threads or idle_cores())
    most = None if memory is None else int(memory * GIB)
    return Placement(torch.device(device), getattr(torch, dtype), most)


def idle_cores() -> int:
    """Threads beside which nothing else runs: small work slows fivefold where threads wait."""
    cores = psutil.cpu_count() or 1
    idle = round(cores * (1 - psutil.cpu_percent(interval=0.2) / 100))
    return max(1, min(idle, torch.get_num_threads()))
