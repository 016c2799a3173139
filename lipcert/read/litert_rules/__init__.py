"""Which integer kernel an operator of a LiteRT file is; every file of this folder is scanned."""

from importlib import import_module
from pkgutil import iter_modules


def scan() -> None:
    """Registers every rule of the folder."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
