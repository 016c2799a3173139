"""What every chapter of an audit report is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar

from lipcert.report import chapters as folder
from lipcert.report.blocks import Block
from lipcert.report.file import File


class Chapter(ABC):
    """One part of the report on one certificate; chapters appear in the order of their ranks."""

    __slots__ = ()
    rank: ClassVar[int]
    title: ClassVar[str]

    @abstractmethod
    def blocks(self, file: File) -> Iterator[Block]:
        """What it says; nothing where it has nothing to say."""


def scan() -> tuple[Chapter, ...]:
    """Every chapter of the folder, in order."""
    for module in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{module.name}")
    return tuple(kind() for kind in sorted(Chapter.__subclasses__(), key=lambda kind: kind.rank))
