"""The labels that commands can have, as the API lists them. Pure: nothing of addresses, tokens and environments is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clusters import Cluster, cluster_of
from .models import DEFAULT_LABEL


def label_models(
    clusters: Mapping[str, Cluster], most_running: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The configured clusters and what else a label can be here, by name. `most_running` bounds commands by label."""
    # Without clusters a label is only a name, and where it has a bound, one that means something.
    bounded = [label for label in most_running if label and not clusters]
    return [
        _model(label, cluster_of(label, clusters), most_running.get(label))
        for label in sorted({DEFAULT_LABEL, *clusters, *bounded})
    ]


def _model(label: str, cluster: Cluster, most_running: int | None) -> dict[str, Any]:
    return {
        "label": label,
        "kernelspec": cluster.kernelspec or None,
        "gateway": cluster.gateway is not None,
        "spark": cluster.spark is not None,
        "limits": dict(cluster.limits),
        "max_running": most_running,
    }
