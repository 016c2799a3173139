"""What a task takes: CPU seconds, wall seconds and peak memory, in a process of its own.

Each task runs in a forked child, so that no peak, cache or thread pool of one row reaches the
next. The peak is the child's own, by `resource`; what the imports take is in it, and `added_mib`
is the peak less what was resident when the child began.
"""

import gc
import multiprocessing
import pickle
import resource
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

import torch

Value = TypeVar("Value")
UNIT = 2**20 if sys.platform == "darwin" else 2**10  # what ru_maxrss counts in


class TaskFailed(RuntimeError):
    """A task raised; the message is its traceback."""


@dataclass(frozen=True, slots=True)
class Measured(Generic[Value]):
    """Value of a task, and medians over its runs.

    Args:
        value: of the first run.
        cpu_seconds: of all threads.
        wall_seconds: by a monotonic clock.
        peak_mib: of the whole process.
        added_mib: of the peak, what the task is responsible for.
    """

    value: Value
    cpu_seconds: float
    wall_seconds: float
    peak_mib: float
    added_mib: float


def measured(task: Callable[[], Value], runs: int = 1, threads: int = 1) -> Measured[Value]:
    """`task`, run `runs` times in one child."""
    return apart(lambda: _repeated(task, runs), threads)


def raced(tasks: Mapping[str, Callable[[], object]], runs: int, threads: int) -> dict[str, float]:
    """Median CPU seconds of each task, run in turn in one child after a run that is not counted."""

    def race() -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in tasks}
        for turn in range(runs + 1):
            for name, task in tasks.items():
                start = time.process_time()
                task()
                if turn > 0:
                    seconds[name].append(time.process_time() - start)
        return {name: statistics.median(values) for name, values in seconds.items()}

    return apart(race, threads)


def apart(task: Callable[[], Value], threads: int = 1) -> Value:
    """What `task` returns in a forked child with `threads` threads.

    The parent must keep to one thread: pools of threads do not survive a fork.

    Raises:
        TaskFailed: if it raises or dies there.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_child, args=(task, threads, sender))
    child.start()
    sender.close()
    try:
        failure, value = pickle.loads(receiver.recv_bytes())
    except EOFError:
        child.join()
        failure, value = f"the child died with status {child.exitcode} (out of memory?)", None
    child.join()
    if failure is not None:
        raise TaskFailed(failure)
    return value


def _child(task: Callable[[], object], threads: int, sender: Connection) -> None:
    torch.set_num_threads(threads)
    try:
        answer = (None, task())
    except Exception:  # whatever it is, the parent reports it
        answer = (traceback.format_exc(), None)
    sender.send_bytes(pickle.dumps(answer))
    sender.close()


def _repeated(task: Callable[[], Value], runs: int) -> Measured[Value]:
    before = _peak_mib()
    value, seconds = _once(task)
    every = [seconds, *(_once(task)[1] for _ in range(runs - 1))]
    cpu, wall = (statistics.median(column) for column in zip(*every, strict=True))
    peak = _peak_mib()
    return Measured(value, cpu, wall, peak, peak - before)


def _once(task: Callable[[], Value]) -> tuple[Value, tuple[float, float]]:
    """Value, and CPU and wall seconds."""
    gc.collect()
    start = time.process_time(), time.perf_counter()
    value = task()
    return value, (time.process_time() - start[0], time.perf_counter() - start[1])


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNIT
