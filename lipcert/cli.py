"""The command line: arguments in, a report and an exit status out."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from rich.console import Console
from rich.text import Text

import lipcert
from lipcert import methods
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate.certificate import Verdict
from lipcert.errors import LipcertError
from lipcert.graph.layer_graph import LayerGraph
from lipcert.integer import overflow
from lipcert.numeric.placement import Placement
from lipcert.read import read_inputs, read_onnx
from lipcert.read.integer import read_integer
from lipcert.report.layers import layers
from lipcert.report.overflow import overflow_facts, overflow_table
from lipcert.report.progress import bar
from lipcert.report.render import facts, show
from lipcert.report.report import Report
from lipcert.sets.region import Ball, Box, Grid, Region

METHODS = methods.scan()
UNMET, REFUSED = 1, 2  # exit statuses; bad usage is 2 by the parser's own custom
GIB = 2**30

app = typer.Typer(
    name="lipcert",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Proved bounds on how far a compressed neural network can drift from its original.",
)


class Norm(StrEnum):
    """Norms of a region around an input."""

    MAX = "inf"
    EUCLIDEAN = "2"


class Device(StrEnum):
    """Where bounds are computed."""

    CPU = "cpu"
    CUDA = "cuda"


class Dtype(StrEnum):
    """In what bounds are computed; they are proved in either."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"


def number(text: str) -> float:
    """A decimal or a fraction such as 0.1/255."""
    over, slash, under = text.partition("/")
    try:
        return float(Fraction(over) / Fraction(under)) if slash else float(text)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"'{text}' is not a number or a fraction") from error


def known_method(name: str) -> str:
    """The name of a method."""
    if name not in METHODS:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(METHODS)}")
    return name


def allowed_drift(drift: float | None) -> float | None:
    """A drift that can be asked for."""
    if drift is not None and not 0 <= drift < float("inf"):
        raise typer.BadParameter(f"{drift} is not a finite number that is zero or more")
    return drift


Original = Annotated[Path, typer.Argument(metavar="ORIGINAL", help="ONNX file of the original.")]
Compressed = Annotated[Path, typer.Argument(metavar="COMPRESSED", help="ONNX file of its twin.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="ONNX file.")]
Inputs = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Inputs: .npy, file.npz:key, or a folder of images."),
]
Eps = Annotated[
    float | None,
    typer.Option(parser=number, metavar="E", help="Radius around each input, as 0.01 or 1/255."),
]
Between = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box",
        metavar="LOWER UPPER",
        help="Instead of --inputs and --eps: all inputs between two numbers or files.",
    ),
]
Clip = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LO HI", help="Valid range of every input coordinate."),
]
Norms = Annotated[Norm, typer.Option(help="Norm of --eps.")]
Step = Annotated[
    float | None,
    typer.Option(parser=number, metavar="STEP", help="Only multiples of STEP: integer pixels."),
]
MethodName = Annotated[
    str,
    typer.Option(callback=known_method, metavar="|".join(METHODS), help="Relaxation."),
]
MaxDrift = Annotated[
    float | None,
    typer.Option(
        parser=number,
        callback=allowed_drift,
        metavar="D",
        help="Allowed drift: exit status 0 if proved, 1 if refuted or unproved.",
    ),
]
Devices = Annotated[Device, typer.Option(help="Where bounds are computed.")]
Dtypes = Annotated[Dtype, typer.Option(help="In what bounds are computed; proved in either.")]
Memory = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="GIB", help="Memory to use; three quarters of what is free."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="CPU threads; by default, idle cores.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Save certificate.json and arrays.npz there.")
]
Json = Annotated[bool, typer.Option("--json", help="The same facts as JSON on standard output.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the search for drift.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which inputs are asked about."""

    inputs: str | None
    eps: float | None
    box: tuple[str, str] | None
    clip: tuple[float, float] | None
    norm: Norm
    grid: float | None

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        around = (self.inputs, self.eps, self.clip, self.grid)
        if self.box is not None:
            if any(option is not None for option in around) or self.norm is not Norm.MAX:
                raise typer.BadParameter("--box stands alone: no --inputs, --eps, --clip, --norm "
                                         "or --grid beside it")  # fmt: skip
        elif self.inputs is None or self.eps is None:
            raise typer.BadParameter("give --inputs FILE and --eps E, or --box LOWER UPPER")
        if self.grid is not None and self.norm is not Norm.MAX:
            raise typer.BadParameter("--grid goes with --norm inf only")

    def region(self, shape: tuple[int, ...]) -> Region:
        """The region, for networks that read inputs of `shape`."""
        if self.box is not None:
            return _between(self.box, shape)
        assert self.inputs is not None
        assert self.eps is not None
        inputs = read_inputs(self.inputs)
        if self.norm is Norm.EUCLIDEAN:
            return Ball.around(inputs, self.eps, self.clip)
        if self.grid is not None:
            return Grid.around(inputs, self.eps, self.clip, step=self.grid)
        return Box.around(inputs, self.eps, self.clip)


def _between(ends: tuple[str, str], shape: tuple[int, ...]) -> Box:
    """A box between two numbers, two files, or one of each."""
    found = [_end(text) for text in ends]
    shapes = [end.shape for end in found if end.ndim > 0]
    whole = shapes[0] if shapes else (1, *shape)
    lower, upper = (np.broadcast_to(e, whole) if e.ndim == 0 else e for e in found)
    return Box.between(lower, upper)


def _end(text: str) -> np.ndarray:
    try:
        return np.asarray(number(text))
    except typer.BadParameter:
        return read_inputs(text)


@app.command()
def certify(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    original: Original,
    compressed: Compressed,
    inputs: Inputs = None,
    eps: Eps = None,
    box: Between = None,
    clip: Clip = None,
    norm: Norms = Norm.MAX,
    grid: Step = None,
    method: MethodName = "twin",
    max_drift: MaxDrift = None,
    device: Devices = Device.CPU,
    dtype: Dtypes = Dtype.FLOAT64,
    memory: Memory = None,
    threads: Threads = None,
    out: Out = None,
    as_json: Json = False,
    seed: Seed = 0,
) -> None:
    """Bound the drift of COMPRESSED from ORIGINAL over whole regions of inputs."""
    asked = Asked(inputs, eps, box, clip, norm, grid)
    errors = Console(stderr=True, highlight=False)
    with _complaints(errors):
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)  # what cannot be saved is refused before work
        torch.set_num_threads(threads or _idle_cores())
        budget = None if memory is None else int(memory * GIB)
        placement = Placement(torch.device(device), getattr(torch, dtype), budget)
        pair = lipcert.load_pair(original, compressed)
        region = asked.region(pair.original.input.shape)
        with bar(errors) as watch:
            result = lipcert.certify(
                pair,
                region,
                METHODS[method](),
                placement=placement,
                attack=DriftAttack(seed=seed),
                watch=watch,
            )
        report = Report(result, max_drift)
        _tell(report, as_json, errors)
        if out is not None:
            place = result.save(out)
            _say(f"saved: {place} and {place.with_name('arrays.npz')}", as_json, errors)
    met = max_drift is None or report.verdict is Verdict.PROVED
    raise typer.Exit(0 if met else UNMET)


@app.command(name="show")
def show_model(model: Model) -> None:
    """Print the layer graph of an ONNX file."""
    with _complaints(Console(stderr=True, highlight=False)):
        graph: LayerGraph = read_onnx(model)
        Console(highlight=False).print(layers(graph))


@app.command(name="overflow")
def check_overflow(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    model: Model,
    inputs: Inputs = None,
    eps: Eps = None,
    box: Between = None,
    clip: Clip = None,
    grid: Step = None,
    as_json: Json = False,
) -> None:
    """Say which layers of a quantised MODEL can saturate on x86 processors without VNNI."""
    given = any(option is not None for option in (inputs, eps, box, clip, grid))
    asked = Asked(inputs, eps, box, clip, Norm.MAX, grid) if given else None
    with _complaints(Console(stderr=True, highlight=False)):
        program = read_integer(model)
        report = overflow(program, None if asked is None else asked.region(program.input_shape))
    if as_json:
        typer.echo(json.dumps(overflow_facts(report), indent=2))
    else:
        Console(highlight=False).print(overflow_table(report))
    raise typer.Exit(0 if report.safe else UNMET)


def _idle_cores() -> int:
    """Threads beside which nothing else runs: small work slows fivefold where threads wait."""
    cores = psutil.cpu_count() or 1
    idle = round(cores * (1 - psutil.cpu_percent(interval=0.2) / 100))
    return max(1, min(idle, torch.get_num_threads()))


def _tell(report: Report, as_json: bool, errors: Console) -> None:
    """The result on standard output, warnings beside it."""
    if as_json:
        typer.echo(json.dumps(facts(report), indent=2, allow_nan=False))
    else:
        show(report, Console(highlight=False))
    for warning in report.warnings:
        errors.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


def _say(message: str, as_json: bool, errors: Console) -> None:
    """On standard output, unless that is JSON's."""
    console = errors if as_json else Console(highlight=False)
    console.print(Text(message), soft_wrap=True)


@contextmanager
def _complaints(errors: Console) -> Generator[None]:
    """What is wrong with the user's input as one red line and exit status 2."""
    try:
        yield
    except (LipcertError, OSError) as error:
        errors.print(Text(f"error: {error}", style="red"), soft_wrap=True)
        raise typer.Exit(REFUSED) from error


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lipcert {version('lipcert')}")
        raise typer.Exit


@app.callback()
def about(
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Hold the options of no command."""


def main() -> None:
    """The installed command."""
    app()
