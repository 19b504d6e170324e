"""What has a name in a configuration: systems and backbones. Read without Keras, imported when built."""

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

SYSTEMS = {
    "m3net+": "models.m3net_plus:M3NetPlus",
    "m3net": "models.m3net:M3Net",
    "m3net_a": "models.m3net:M3NetA",
    "m3net_c": "models.m3net:M3NetC",
    "asen_v2": "models.asen:AsenV2",
    "asen": "models.asen:Asen",
    "asen++": "models.asenpp:AsenPlusPlus",
    "modc": "models.modc:Modc",
    "classifier": "models.classifier:Classifier",
}
BY_TRIPLETS = ("asen", "asen_v2", "asen++", "modc")  # those that `documented` sampling can train
BACKBONES = {
    "small": "models.backbones:small",
    "resnet50_c4": "models.backbones:resnet50_c4",
    "resnet34_c4": "models.resnet34:resnet34_c4",
    "convnext_tiny": "models.backbones:convnext_tiny",
    "efficientnetv2_b0": "models.backbones:efficientnetv2_b0",
}


def unknown(kind: str, name: str, known: Mapping[str, Any] | tuple[str, ...]) -> str:
    """The line that says `name` is none of `known`: 'no system "m3nett"; did you mean "m3net"?'."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"
    return f'no {kind} "{name}"; {hint}'


def resolve(kind: str, name: str, known: Mapping[str, str]) -> Any:
    """The class or function registered under `name`. Raises: ValueError for a name unknown."""
    if name not in known:
        raise ValueError(unknown(kind, name, known))
    module, attribute = known[name].split(":")
    return getattr(import_module(module), attribute)
