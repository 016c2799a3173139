"""Backends: one solver per file, found by scanning the folder."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from solvers.backends.base import Backend


def scan() -> Mapping[str, type[Backend]]:
    """Every backend of the folder under the name of its file."""
    found: dict[str, type[Backend]] = {}
    for entry in iter_modules(__path__):
        module = import_module(f"{__name__}.{entry.name}")
        own = [v for v in vars(module).values() if _made_in(v, module.__name__)]
        kinds = [v for v in own if issubclass(v, Backend) and v is not Backend]
        assert len(kinds) <= 1, f"{module.__name__} holds more than one backend"
        found.update((entry.name, kind) for kind in kinds)
    return found


def _made_in(value: object, module: str) -> bool:
    return isinstance(value, type) and value.__module__ == module
