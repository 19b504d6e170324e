"""The steps of a run by name: which there are, and how `--from` and `--until` choose among them.

Not TFX's partial run for `--from`: it would take the earlier steps' artifacts unseen, also where the catalogue or a setting
has changed since. Here every earlier step is asked as always and answers from cache where nothing changed.
"""

from typing import Any

from models.registry import unknown
from pipeline.config import Config, ConfigError

_LABELS = ("CatalogueGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "LabelValidator")
_MODEL = ("Trainer", "Embedder", "RetrievalEvaluator", "IndexBuilder", "ReleaseValidator", "Releaser")


def names(config: Config) -> tuple[str, ...]:
    """The steps of a run of `config`, in order; resolvers, which only look something up, are none."""
    labels = tuple("ImportSchemaGen" if name == "SchemaGen" and config.validation.schema else name for name in _LABELS)
    if config.data.labels_only:
        return labels
    return labels + ("Tuner",) * bool(config.tuning.trials) + _MODEL


def require(config: Config, first: str, last: str) -> None:
    """Before TFX is loaded. Args: first, last: of `--from` and `--until`, "" where not given. Raises: ConfigError."""
    known = names(config)
    for option, name in (("--from", first), ("--until", last)):
        if name and name not in known:
            hint = unknown("step", name, known).partition("; ")[2].partition("there are")[0]
            raise ConfigError(f'{option}: no step "{name}"; {hint}{" " if hint else ""}there are: {", ".join(known)}')
    if first and last and known.index(first) > known.index(last):
        raise ConfigError(f"--from {first} comes after --until {last}; the order is: {', '.join(known)}")


def select(ir: Any, first: str, last: str) -> None:
    """Marks the compiled pipeline `ir`: `first` and all that follows from it run anew; what `last` does not need is skipped.

    Raises: ConfigError where `last` does not follow from `first`, so that nothing would run anew.
    """
    from tfx.orchestration.portable import partial_run_utils

    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in ir.nodes}
    anew = _following(nodes, first) if first else set()
    if first and last and last not in anew:
        raise ConfigError(f"--until {last} does not follow from --from {first}; leave one of them out")
    for name in anew:
        nodes[name].execution_options.caching_options.enable_cache = False
    if last:
        partial_run_utils.mark_pipeline(ir, to_nodes=[last])


def _following(nodes: dict[str, Any], first: str) -> set[str]:
    """`first` and every node that comes, over however many others, after it."""
    found = {first}
    for name, node in nodes.items():  # in topological order
        if found & set(node.upstream_nodes):
            found.add(name)
    return found
