"""`lipcert allocate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

import lipcert
from lipcert.certificate.verdict import Verdict
from lipcert.compress.table import allocation_table
from lipcert.options import (
    Asked,
    Between,
    Clip,
    Device,
    Devices,
    Dtype,
    Dtypes,
    Eps,
    Inputs,
    Json,
    Memory,
    Model,
    Norm,
    Norms,
    Step,
    Threads,
    allowed_drift,
    number,
)
from lipcert.read import read_file
from lipcert.report.progress import bar
from lipcert.report.render import facts, show
from lipcert.report.report import Report
from lipcert.terminal import UNMET, complaints, output, placement_of, say, warn

Folder = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where the file and its certificate go.")
]
AllowedDrift = Annotated[
    float,
    typer.Option(
        "--max-drift", parser=number, callback=allowed_drift, metavar="D", help="Allowed drift."
    ),
]


def command(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    model: Model,
    max_drift: AllowedDrift,
    inputs: Inputs = None,
    eps: Eps = None,
    box: Between = None,
    clip: Clip = None,
    norm: Norms = Norm.MAX,
    grid: Step = None,
    device: Devices = Device.CPU,
    dtype: Dtypes = Dtype.FLOAT64,
    memory: Memory = None,
    threads: Threads = None,
    out: Folder = Path("allocated"),
    as_json: Json = False,
) -> None:
    """Quantise the weights of MODEL, each channel to as few bits as a proved drift allows."""
    asked = Asked(inputs, eps, box, clip, norm, grid)
    with complaints() as errors:
        out.mkdir(parents=True, exist_ok=True)  # what cannot be saved is refused before work
        placement = placement_of(device, dtype, memory, threads)
        region = asked.region(read_file(model).input.shape)
        with bar(errors) as watch:
            made = lipcert.allocate(model, region, max_drift, out, placement=placement, watch=watch)
        report = Report(made.certificate, max_drift)
        if as_json:
            told = facts(report) | {"allocation": made.facts()}
            typer.echo(json.dumps(told, indent=2, allow_nan=False))
        else:
            output().print(allocation_table(made))
            show(report, output())
        warn((*report.warnings, *made.warnings), errors)
        text = f"saved: {made.path}, {out / 'allocation.json'} and {out / 'certificate.json'}"
        say(text, errors if as_json else output())
    raise typer.Exit(0 if report.verdict is Verdict.PROVED else UNMET)
