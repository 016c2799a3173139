"""Relaxations: ways of proving a Lipschitz constant, one per file."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from lipcert.lipschitz.relaxation import Relaxation


def scan() -> Mapping[str, type[Relaxation]]:
    """Every relaxation of the folder under the name of its file."""
    found: dict[str, type[Relaxation]] = {}
    for entry in iter_modules(__path__):
        module = import_module(f"{__name__}.{entry.name}")
        own = [v for v in vars(module).values() if isinstance(v, type)]
        made = [v for v in own if v.__module__ == module.__name__ and issubclass(v, Relaxation)]
        assert len(made) == 1, f"{module.__name__} holds {len(made)} relaxations"
        found[entry.name] = made[0]
    return found
