"""Where a certificate comes from: files, tools, machine, seeds, time."""

from pydantic import JsonValue

from lipcert.certificate.model import Count, Hash, Model


class NetworkFacts(Model):
    """One network.

    Args:
        source: the file's path as it was given, or a module's class.
        format: "ONNX", "LiteRT" or "PyTorch module".
        file_sha256: of the file's bytes; null for modules.
        content_sha256: of operations, parameters and connections as lipcert reads them.
        opset: version of each operator domain; empty where the format has none.
        operators: how often the file has each operator.
        parameters: numbers stored in float weights, biases, scales and statistics.
        nodes: operations as lipcert reads them.
        sparsity: share of zeros among the weights of dense and convolutional layers.
        quantisation: what is stored or rounded as integers, in words.
    """

    source: str
    format: str
    file_sha256: Hash | None
    content_sha256: Hash
    opset: dict[str, int]
    operators: dict[str, int]
    parameters: Count
    nodes: Count
    sparsity: float
    quantisation: tuple[str, ...]


class Networks(Model):
    """Both networks."""

    original: NetworkFacts
    compressed: NetworkFacts


class PlacementFacts(Model):
    """Where and in what the bounds were computed."""

    device: str
    dtype: str


class Saturation(Model):
    """Layers whose pair sums may saturate on x86 without VNNI, and what to do."""

    unsafe_layers: tuple[str, ...]
    remedies: tuple[str, ...]


class Provenance(Model):
    """How the certificate came about.

    Args:
        networks: both.
        inputs_sha256: of the arrays that define the region.
        options: of the method and of the attack, seeds among them.
        placement: device and dtype.
        versions: of the tool and what it computes with.
        machine: processor, system and Python.
        threads: CPU threads.
        seconds: wall-clock time per stage.
        time: when it was made, UTC, ISO 8601.
        saturation: null for networks without int8.
    """

    networks: Networks
    inputs_sha256: Hash
    options: dict[str, dict[str, JsonValue]]
    placement: PlacementFacts
    versions: dict[str, str]
    machine: str
    threads: Count
    seconds: dict[str, float]
    time: str
    saturation: Saturation | None
