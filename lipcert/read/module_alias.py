"""In-place calls of an exported graph: what they change besides their own result."""

from torch import fx
from torch._ops import OpOverload

from lipcert.errors import UnsupportedOp

VIEWS = {
    "alias", "chunk", "contiguous", "detach", "dropout", "expand", "feature_dropout", "flatten",
    "getitem", "permute", "reshape", "select", "slice", "split", "split_with_sizes", "squeeze",
    "t", "to", "transpose", "unflatten", "unsqueeze", "view",
}  # fmt: skip


def kind_of(node: fx.Node) -> str:
    """The operator's name without overload and without the mark of an in-place variant."""
    target = node.target
    if isinstance(target, OpOverload):
        return target.overloadpacket.__name__.rstrip("_")
    return str(getattr(target, "__name__", target))


def overwritten(node: fx.Node) -> fx.Node | None:
    """The argument whose value an in-place call replaces, None for any other call.

    Raises:
        UnsupportedOp: if a view of that argument, or what it is a view of, is read afterwards.
    """
    target = node.target
    if not isinstance(target, OpOverload) or not target.overloadpacket.__name__.endswith("_"):
        return None
    changed = node.args[0]
    if not isinstance(changed, fx.Node):
        return None
    places = {n: place for place, n in enumerate(node.graph.nodes)}
    for other in _sharing(changed) - {changed, node}:
        if any(places[reader] > places[node] for reader in other.users):
            raise UnsupportedOp(f"changes in place what '{other.name}' shows, which is read later")
    return changed


def _sharing(node: fx.Node) -> set[fx.Node]:
    """Nodes that may share memory with a node, itself included."""
    found: set[fx.Node] = set()
    open_ends = [node]
    while open_ends:
        here = open_ends.pop()
        if here in found:
            continue
        found.add(here)
        if kind_of(here) in VIEWS:
            open_ends += here.all_input_nodes[:1]
        open_ends += [user for user in here.users if kind_of(user) in VIEWS]
    return found
