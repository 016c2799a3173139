"""Methods: relaxations that turn a pair and a region into proved bounds, one per file."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from lipcert.methods.base import Method


def scan() -> Mapping[str, type[Method]]:
    """Every method of the folder under the name of its file."""
    found: dict[str, type[Method]] = {}
    for entry in iter_modules(__path__):
        module = import_module(f"{__name__}.{entry.name}")
        own = [v for v in vars(module).values() if _made_in(v, module.__name__)]
        methods = [v for v in own if issubclass(v, Method) and v is not Method]
        assert len(methods) <= 1, f"{module.__name__} holds more than one method"
        found.update((entry.name, method) for method in methods)
    return found


def _made_in(value: object, module: str) -> bool:
    return isinstance(value, type) and value.__module__ == module
