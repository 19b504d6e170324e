"""What components note on their artifacts beyond TFX's own, as it may be shown to anybody."""

import re
from typing import Any

_TFX_OWN = {"tfx_version", "is_external", "state", "name", "pipeline_name", "producer_component"}


def noted(artifact: Any) -> dict[str, Any]:
    """The custom properties of an artifact of ML Metadata that are plain values, but TFX's own."""
    values = artifact.custom_properties
    kinds = {name: value.WhichOneof("value") for name, value in values.items()}
    return {
        name: public(getattr(values[name], kind))
        for name, kind in kinds.items()
        if name not in _TFX_OWN and kind in ("string_value", "int_value", "double_value")
    }


def public(value: Any) -> Any:
    """A URL without what may be secret: the user and password before its host, and a signature behind its ?."""
    return re.sub(r"://[^/@\s]*@", "://", value).partition("?")[0] if isinstance(value, str) and "://" in value else value
