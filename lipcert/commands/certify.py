"""`lipcert certify`."""

import json
from pathlib import Path

import typer
from rich.console import Console

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import load
from lipcert.certificate.verdict import Verdict
from lipcert.graph.semantics import Semantics
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
    Norm,
    Norms,
    Original,
    Out,
    SarifFile,
    Searching,
    Seed,
    Step,
    Threads,
    chosen_method,
)
from lipcert.report.junit import junit as as_junit
from lipcert.report.progress import bar
from lipcert.report.render import facts, show
from lipcert.report.report import Report
from lipcert.report.sarif import sarif as as_sarif
from lipcert.terminal import UNMET, complaints, output, placement_of, say, warn


def command(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
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
    limit: Searching = None,
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
    relaxation = chosen_method(method, budget, limit)
    with complaints() as errors:
        for folder in (out, junit and junit.parent, sarif and sarif.parent):
            if folder is not None:  # what cannot be saved is refused before work
                folder.mkdir(parents=True, exist_ok=True)
        placement = placement_of(device, dtype, memory, threads)
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
            place = None if out is None else result.save(out, max_drift)
        report = Report(result, max_drift)
        _tell(report, place, as_json, errors)
        if junit is not None:
            junit.write_text(as_junit(report, compressed.name), encoding="utf-8")
        if sarif is not None:
            sarif.write_text(as_sarif(report, compressed.as_posix()), encoding="utf-8")
    met = max_drift is None or report.verdict is Verdict.PROVED
    raise typer.Exit(0 if met else UNMET)


def _tell(report: Report, place: Path | None, as_json: bool, errors: Console) -> None:
    """The result on standard output, warnings beside it."""
    if as_json:
        document = None if place is None else load(place).document
        typer.echo(json.dumps(facts(report, document), indent=2, allow_nan=False))
    else:
        show(report, output())
    warn(report.warnings, errors)
    if place is not None:
        text = f"saved: {place} and {place.with_name('arrays.npz')}"
        say(text, errors if as_json else output())
