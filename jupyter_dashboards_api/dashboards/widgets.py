"""The widgets whose state a notebook holds, and what of it a file of the notebook needs. Pure.

The state's form: https://ipywidgets.readthedocs.io/en/stable/embedding.html, `application/vnd.jupyter.widget-state+json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"
_STATE = "application/vnd.jupyter.widget-state+json"
_REFERENCE = "IPY_MODEL_"
_CORE = "@jupyter-widgets/"

Model = Mapping[str, Any]
Outputs = Callable[[Iterable[Any]], list[Any]]


def stored_models(metadata: Mapping[str, Any]) -> dict[str, Model]:
    """The models of a notebook's metadata by their ids, as far as they have the form."""
    found: Any = metadata
    for name in ("widgets", _STATE, "state"):
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        return {}
    return {
        name: model
        for name, model in found.items()
        if isinstance(model, Mapping)
        and isinstance(model.get("state"), Mapping)
        and all(
            isinstance(model.get(key), str)
            for key in ("model_name", "model_module", "model_module_version")
        )
    }


def model_of(view: Any, models: Mapping[str, Model]) -> str | None:
    """The id of the model that a view's data shows, if its state is there."""
    name = view.get("model_id") if isinstance(view, Mapping) else None
    return name if isinstance(name, str) and name in models else None


def is_core(model: Model) -> bool:
    """Whether the client has the widget's classes itself."""
    return str(model["model_module"]).startswith(_CORE)


def needed(
    models: Mapping[str, Model], shown: Iterable[str], outputs: Outputs
) -> dict[str, dict[str, Any]]:
    """The models of the widgets that are shown and of all that these are made of; what links two of them as well.

    `outputs` says what a reader may see of the outputs that an Output widget keeps.
    """
    found: dict[str, dict[str, Any]] = {}
    waiting = list(shown)
    while waiting:
        name = waiting.pop()
        if name in found or name not in models:
            continue
        found[name] = _shown_state(models[name], outputs)
        waiting += _references(found[name])
    for name, model in models.items():
        if str(model["model_name"]).endswith("LinkModel") and name not in found:
            ends = [end for end in _references(model["state"]) if end in models]
            if ends and all(end in found for end in ends):
                found[name] = dict(model)
    return found


def _shown_state(model: Model, outputs: Outputs) -> dict[str, Any]:
    state = dict(model["state"])
    if model["model_name"] == "OutputModel":
        kept = state.get("outputs")
        state["outputs"] = outputs(kept if isinstance(kept, list | tuple) else [])
    return {**model, "state": state}


def _references(value: Any) -> list[str]:
    """The ids of the models that a state refers to, at any depth; those in outputs that it keeps too."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            view = each.get(VIEW)
            if isinstance(view, Mapping) and isinstance(view.get("model_id"), str):
                found.append(view["model_id"])
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, str) and each.startswith(_REFERENCE):
            found.append(each.removeprefix(_REFERENCE))
    return found
