"""What every section is."""

from abc import ABC, abstractmethod
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar

from rich.console import RenderableType

from lipcert.report import sections as folder
from lipcert.report.report import Report


class Section(ABC):
    """One part of a report; sections appear in the order of their ranks."""

    __slots__ = ()
    rank: ClassVar[int]

    @abstractmethod
    def render(self, report: Report) -> RenderableType | None:
        """What a terminal shows, or None where there is nothing to say."""


def scan() -> tuple[Section, ...]:
    """Every section of the folder, in order."""
    for module in iter_modules(folder.__path__):
        import_module(f"{folder.__name__}.{module.name}")
    return tuple(kind() for kind in sorted(Section.__subclasses__(), key=lambda kind: kind.rank))
