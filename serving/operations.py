"""The operations of a SavedModel's graph, and which of them no unmodified TensorFlow Serving lacks; without TensorFlow."""

from functools import cache
from pathlib import Path

from google.protobuf.message import DecodeError

from serving.protos import saved_model_pb2

_STOCK = Path(__file__).with_name("stock_operations.txt")


def operations(saved_model: Path) -> list[str]:
    """The names, in order, of all that its graph and its functions call; functions' own names are none.

    Raises: OSError, or ValueError where `saved_model.pb` is no SavedModel with a graph.
    """
    try:
        saved = saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    except DecodeError as error:
        raise ValueError(str(error)) from None
    if not saved.meta_graphs:
        raise ValueError("it holds no graph")
    graphs = [one.graph_def for one in saved.meta_graphs]
    functions = {function.signature.name for graph in graphs for function in graph.library.function}
    bodies = (nodes for graph in graphs for nodes in (graph.node, *(f.node_def for f in graph.library.function)))
    return sorted({node.op for nodes in bodies for node in nodes} - functions)


@cache
def stock() -> frozenset[str]:
    """The operations of the TensorFlow that we use, but for those that need Python, XLA, a TPU or a certain processor."""
    return frozenset(_STOCK.read_text(encoding="utf-8").split())
