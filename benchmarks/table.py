"""Tables of results: printed row by row as they come, and kept for a JSON file."""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

Cell = str | int | float | bool | None
VERSIONS = (
    "lipcert",
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "auto-LiRPA",
    "onnx2torch",
    "clarabel",
    "scs",
    "cvxpy",
    "eclipse-nn",
)
ABSENT = "-"


@dataclass(frozen=True)
class Options:
    """The command line of every benchmark.

    Args:
        data: the shared networks and inputs.
        threads: of every measured task.
        runs: that a median is taken over, where one run is short.
        chosen: values of the benchmark's own flags.
    """

    data: Path
    threads: int
    runs: int
    chosen: frozenset[str]


@dataclass
class Report:
    """What one benchmark found."""

    name: str
    options: Options
    tables: list[dict[str, object]] = field(default_factory=list)

    def start(self, title: str, note: str = "") -> None:
        """A new table; the rows that follow are its own."""
        self.tables.append({"title": title, "note": note, "rows": []})
        print(f"\n{title}" + (f"\n{note}" if note else ""), flush=True)

    def row(self, cells: Mapping[str, Cell]) -> None:
        """Print a row, below the columns' names where it is the first."""
        rows = self.tables[-1]["rows"]
        assert isinstance(rows, list)
        names = list(rows[0]) if rows else list(cells)
        assert names == list(cells), f"columns {list(cells)}, expected {names}"
        if not rows:
            print("  ".join(_padded(name, name, left) for left, name in _sides(names)))
        rows.append(dict(cells))
        texts = (_padded(_text(cells[name]), name, left) for left, name in _sides(names))
        print("  ".join(texts), flush=True)

    def say(self, text: str) -> None:
        """A remark below the table."""
        print(text, flush=True)

    def save(self, path: Path) -> None:
        """The same facts for programs; what is not finite becomes null."""
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"benchmark": self.name, "machine": machine(self.options), "tables": self.tables}
        path.write_text(json.dumps(_finite(facts), indent=1, allow_nan=False) + "\n")
        print(f"\nwritten to {path}")


def begin(name: str, what: str | None, flags: Mapping[str, str]) -> tuple[Report, Path | None]:
    """Command line read, machine printed.

    Args:
        name: of the benchmark.
        what: its description.
        flags: the benchmark's own switches and what they do.
    """
    torch.set_num_threads(1)
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    folder = Path(os.environ.get("LIPCERT_DATA", beside))
    parser.add_argument("--data", type=Path, default=folder, help="networks and inputs")
    parser.add_argument("--json", type=Path, help="also write the tables to this file")
    parser.add_argument("--threads", type=int, default=1, help="of every measured task")
    parser.add_argument("--runs", type=int, default=5, help="that a median is taken over")
    for flag, text in flags.items():
        parser.add_argument(f"--{flag}", action="store_true", help=text)
    given = parser.parse_args()
    if not given.data.is_dir():
        parser.error(f"no shared data in {given.data}; set LIPCERT_DATA or --data")
    chosen = frozenset(flag for flag in flags if getattr(given, flag))
    options = Options(given.data, given.threads, max(1, given.runs), chosen)
    for title, fact in machine(options).items():
        print(f"{title}: {fact}")
    return Report(name, options), given.json


def machine(options: Options) -> dict[str, Cell]:
    """Where, with what and when."""
    found: list[str] = []
    for name in VERSIONS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    return {
        "machine": f"{platform.machine()} {platform.system()}",
        "cpu": f"{_cpu()}, {os.cpu_count()} cores visible",
        "threads": options.threads,
        "versions": f"Python {platform.python_version()}, {', '.join(found)}",
        "load": round(os.getloadavg()[0], 2),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": " ".join([f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
    }


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown CPU"


def _sides(names: list[str]) -> list[tuple[bool, str]]:
    """The first column is text and stands left."""
    return [(place == 0, name) for place, name in enumerate(names)]


def _padded(text: str, name: str, left: bool) -> str:
    return text.ljust(44) if left else text.rjust(max(9, len(name)))


def _text(cell: Cell) -> str:
    if cell is None:
        return ABSENT
    if isinstance(cell, bool):
        return "yes" if cell else "NO"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
