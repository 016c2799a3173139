"""Hashes and versions."""

from collections.abc import Iterator, Mapping

from lipcert.report.blocks import Block, Sheet
from lipcert.report.chapter import Chapter
from lipcert.report.file import File


class Appendix(Chapter):
    """What identifies the files, the inputs, the tool and the machine."""

    rank, title = 100, "Appendix: files and versions"

    def blocks(self, file: File) -> Iterator[Block]:
        """Both networks side by side, then where and how the certificate was made."""
        made = file.document.provenance
        f, g = made.networks.original, made.networks.compressed
        rows = (
            ("File", f.source, g.source),
            ("SHA-256", f.file_sha256 or "a module", g.file_sha256 or "a module"),
            ("Format", _format(f.format, f.opset), _format(g.format, g.opset)),
            ("Parameters", f"{f.parameters:,}", f"{g.parameters:,}"),
            ("Operators", _counts(f.operators), _counts(g.operators)),
            ("Quantisation", *("; ".join(n.quantisation) or "none" for n in (f, g))),
            ("Sparsity", *(f"{100 * n.sparsity:.1f} %" for n in (f, g))),
            ("Content", f.content_sha256, g.content_sha256),
        )
        yield Sheet("The networks", ("", "Original", "Compressed"), rows)
        facts = [
            ("Inputs, SHA-256", made.inputs_sha256),
            ("Certificate digest", file.document.digest),
            ("Format of the certificate", file.document.format),
            ("Made", made.time),
            ("Machine", made.machine),
            *((name, version) for name, version in made.versions.items()),
            *((f"Options of {name}", _options(options)) for name, options in made.options.items()),
        ]
        yield Sheet("The certificate", ("", "Value"), tuple(facts))


def _format(name: str, opset: dict[str, int]) -> str:
    domains = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in opset.items())
    return f"{name}, opset {domains}" if domains else name


def _counts(operators: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in operators.items()) or "-"


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in options.items()) or "-"
