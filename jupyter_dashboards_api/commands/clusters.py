"""Clusters: where the commands of a label run. Pure.

A cluster is an item of the `clusters` trait: a kernelspec, variables of the kernel's environment, a gateway whose kernels
run elsewhere, limits of what one kernel may take, and the settings of a Spark session that its kernels begin with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from .models import DEFAULT_LABEL
from .submission import Refused

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LIMITS = frozenset({"memory_mb", "cpu_seconds"})
_FIELDS = frozenset({"kernelspec", "environment", "gateway", "limits", "spark"})


class BadCluster(ValueError):
    """The configuration of a cluster can't be used; the message says why."""


@dataclass(frozen=True)
class Gateway:
    """A kernel gateway. Its token is the value of the server's environment variable `token_variable`."""

    url: str
    token_variable: str = ""


@dataclass(frozen=True)
class Cluster:
    """Where a command runs; without a label it is this server, with the notebook's own kernelspec.

    `kernelspec` is empty where the notebook's counts. `limits` has `memory_mb` and `cpu_seconds` of one kernel on this
    machine. `spark` is None for kernels without a session, otherwise Spark's settings (`spark.master` and the like).
    """

    label: str = ""
    kernelspec: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    gateway: Gateway | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    spark: Mapping[str, str] | None = None

    @property
    def changes_kernels(self) -> bool:
        """Whether its kernels are others than those of the same kernelspec without a label."""
        return bool(self.environment or self.gateway or self.limits or self.spark is not None)


def configured(value: Mapping[str, Any]) -> dict[str, Cluster]:
    """The clusters of the trait's value, by label. Raises `BadCluster`."""
    return {label: _cluster(label, item) for label, item in value.items()}


def _cluster(label: str, item: Any) -> Cluster:
    if not label or not isinstance(item, Mapping):
        raise BadCluster(f"Cluster {label!r} must have a label and be a dictionary.")
    unknown = set(item) - _FIELDS
    if unknown:
        raise BadCluster(f"Cluster {label!r} has no field {min(map(str, unknown))!r}.")
    gateway = item.get("gateway")
    limits = item.get("limits") or {}
    spark = item.get("spark")
    if not isinstance(limits, Mapping) or not all(
        name in _LIMITS and isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
        for name, limit in limits.items()
    ):
        raise BadCluster(
            f"The limits of cluster {label!r} must be memory_mb and cpu_seconds, as whole numbers."
        )
    if gateway and limits:
        raise BadCluster(
            f"Cluster {label!r} has a gateway, which bounds its kernels itself: say so in the environment, as it wants it."
        )
    return Cluster(
        label=label,
        kernelspec=_text(label, "kernelspec", item.get("kernelspec")),
        environment=_environment(label, item.get("environment") or {}),
        gateway=_gateway(label, gateway) if gateway else None,
        limits=dict(limits),
        spark=None if spark is None else _texts(label, "spark", spark),
    )


def _text(label: str, name: str, value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise BadCluster(f"{name} of cluster {label!r} must be a text.")
    return value or ""


def _texts(label: str, name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(
        isinstance(word, str) and "\0" not in word for pair in value.items() for word in pair
    ):
        raise BadCluster(f"{name} of cluster {label!r} must have texts as names and values.")
    return dict(value)


def _environment(label: str, value: Any) -> dict[str, str]:
    found = _texts(label, "environment", value)
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise BadCluster(f"{name!r} of cluster {label!r} can't be the name of a variable.")
    return found


def _gateway(label: str, value: Any) -> Gateway:
    settings = {"url": value} if isinstance(value, str) else value
    if not isinstance(settings, Mapping) or set(settings) - {"url", "token_variable"}:
        raise BadCluster(
            f"gateway of cluster {label!r} must be a URL, or have url and token_variable."
        )
    url = _text(label, "gateway", settings.get("url"))
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise BadCluster(
            f"gateway of cluster {label!r} must be an http or https URL without credentials."
        )
    return Gateway(url.rstrip("/"), _text(label, "token_variable", settings.get("token_variable")))


def cluster_of(label: str | None, clusters: Mapping[str, Cluster]) -> Cluster:
    """The cluster of a command's label. Raises `Refused` for an unknown one.

    Where no clusters are configured, a label is only a name: everything runs on this server. So does what has the label
    `default`, unless a cluster has that name; it says no more than no label then.
    """
    if label == DEFAULT_LABEL and label not in clusters:
        return Cluster()
    if not label or not clusters:
        return Cluster(label=label or "")
    if label not in clusters:
        raise Refused(f"There is no cluster with the label {label}.")
    return clusters[label]


def kernelspec_of(cluster: Cluster, metadata: Mapping[str, Any], default: str) -> str:
    """The kernelspec that a notebook runs with: the cluster's, its own, else the server's default."""
    return cluster.kernelspec or named_kernelspec(metadata) or default


def named_kernelspec(metadata: Mapping[str, Any]) -> str:
    """The kernelspec that a notebook's metadata names, or an empty text."""
    kernelspec = metadata.get("kernelspec")
    name = kernelspec.get("name") if isinstance(kernelspec, Mapping) else None
    return name if isinstance(name, str) else ""


def check_cluster(cluster: Cluster, metadata: Mapping[str, Any], notebook_id: int) -> None:
    """Raises `Refused`, as the API documents it, when neither the notebook nor a label says where it is to run."""
    if not cluster.label and not named_kernelspec(metadata):
        raise Refused(f"There is no cluster associated with notebook with Id: {notebook_id}")
