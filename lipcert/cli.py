"""The command line: arguments in, a report and an exit status out."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import psutil
import torch
import typer
from rich.console import Console
from rich.text import Text

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import load
from lipcert.certificate.verdict import Verdict
from lipcert.errors import LipcertError
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.semantics import Semantics
from lipcert.integer import overflow
from lipcert.numeric.placement import Placement
from lipcert.options import (
    Arithmetic,
    Asked,
    Between,
    Budget,
    Clip,
    Compressed,
    Device,
    Devices,
    Dtype,
    Dtypes,
    Eps,
    Inputs,
    Json,
    Junit,
    MaxDrift,
    Memory,
    MethodName,
    Model,
    Norm,
    Norms,
    Original,
    Out,
    SarifFile,
    Seed,
    Step,
    Threads,
    chosen_method,
)
from lipcert.read import read_file
from lipcert.read.integer import read_integer
from lipcert.report.junit import junit as as_junit
from lipcert.report.layers import layers
from lipcert.report.overflow import overflow_facts, overflow_table
from lipcert.report.progress import bar
from lipcert.report.render import facts, show
from lipcert.report.report import Report
from lipcert.report.sarif import sarif as as_sarif

UNMET, REFUSED = 1, 2  # exit statuses; bad usage is 2 by the parser's own custom
GIB = 2**30

app = typer.Typer(
    name="lipcert",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Proved bounds on how far a compressed neural network can drift from its original.",
)


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
    semantics: Arithmetic = Semantics.REAL,
    max_drift: MaxDrift = None,
    budget: Budget = False,
    device: Devices = Device.CPU,
    dtype: Dtypes = Dtype.FLOAT64,
    memory: Memory = None,
    threads: Threads = None,
    out: Out = None,
    junit: Junit = None,
    sarif: SarifFile = None,
    as_json: Json = False,
    seed: Seed = 0,
) -> None:
    """Bound the drift of COMPRESSED from ORIGINAL over whole regions of inputs."""
    asked = Asked(inputs, eps, box, clip, norm, grid)
    relaxation = chosen_method(method, budget)
    errors = Console(stderr=True, highlight=False)
    with _complaints(errors):
        for folder in (out, junit and junit.parent, sarif and sarif.parent):
            if folder is not None:  # what cannot be saved is refused before work
                folder.mkdir(parents=True, exist_ok=True)
        torch.set_num_threads(threads or _idle_cores())
        most = None if memory is None else int(memory * GIB)
        placement = Placement(torch.device(device), getattr(torch, dtype), most)
        pair = lipcert.load_pair(original, compressed, semantics=semantics)
        region = asked.region(pair.original.input.shape)
        with bar(errors) as watch:
            result = lipcert.certify(
                pair,
                region,
                relaxation,
                placement=placement,
                attack=DriftAttack(seed=seed),
                watch=watch,
            )
        report = Report(result, max_drift)
        place = None if out is None else result.save(out, max_drift)
        _tell(report, place, as_json, errors)
        if junit is not None:
            junit.write_text(as_junit(report, compressed.name), encoding="utf-8")
        if sarif is not None:
            sarif.write_text(as_sarif(report, compressed.as_posix()), encoding="utf-8")
    met = max_drift is None or report.verdict is Verdict.PROVED
    raise typer.Exit(0 if met else UNMET)


@app.command(name="show")
def show_model(model: Model) -> None:
    """Print the layer graph of an ONNX or LiteRT file."""
    with _complaints(Console(stderr=True, highlight=False)):
        graph: LayerGraph = read_file(model)
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


def _tell(report: Report, place: Path | None, as_json: bool, errors: Console) -> None:
    """The result on standard output, warnings beside it."""
    if as_json:
        document = None if place is None else load(place).document
        typer.echo(json.dumps(facts(report, document), indent=2, allow_nan=False))
    else:
        show(report, Console(highlight=False))
    for warning in report.warnings:
        errors.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    if place is not None:
        _say(f"saved: {place} and {place.with_name('arrays.npz')}", as_json, errors)


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
