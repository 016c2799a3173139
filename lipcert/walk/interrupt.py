"""Ctrl-C as a wish to see what there is, not as the end of everything."""

import logging
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from lipcert.walk.progress import Watch

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Interrupt:
    """Whether Ctrl-C was pressed since the work began."""

    pressed: bool = False

    def ending(self, watch: Watch) -> Watch:
        """The watch of a search, which a KeyboardInterrupt from it ends with its best so far."""

        def told(stage: str, done: int, total: int) -> None:
            watch(stage, done, total)
            if self.pressed:
                raise KeyboardInterrupt

        return told


_around = list[Interrupt]()  # of the work that is under way in the main thread


@contextmanager
def noted() -> Generator[Interrupt]:
    """The first Ctrl-C is noted, a second one interrupts as ever; in the main thread only.

    Work that is part of other such work shares its interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interrupt()
        return
    if _around:
        yield _around[-1]
        return
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)

    def press(_number: int, _frame: FrameType | None) -> None:
        interrupt.pressed = True
        signal.signal(signal.SIGINT, before)
        log.warning("interrupted: proving the best so far (Ctrl-C again to abandon it)")

    signal.signal(signal.SIGINT, press)
    _around.append(interrupt)
    try:
        yield interrupt
    finally:
        _around.pop()
        signal.signal(signal.SIGINT, before)
