"""Labels and the clusters that they name."""

from __future__ import annotations

from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_dashboards_api.commands.clusters import (
    BadCluster,
    Cluster,
    Gateway,
    check_cluster,
    cluster_of,
    configured,
    kernelspec_of,
)
from jupyter_dashboards_api.commands.manager import CommandsManager
from jupyter_dashboards_api.commands.submission import Refused

NAMED = {"kernelspec": {"name": "ir"}}


def test_a_cluster_has_all_that_its_settings_say() -> None:
    found = configured(
        {
            "yarn": {
                "kernelspec": "spark_python_yarn_cluster",
                "environment": {"KERNEL_SPARK_OPTS": "--conf a=b"},
                "gateway": {"url": "https://gateway.example/base/", "token_variable": "YARN_TOKEN"},
            },
            "small": {"limits": {"memory_mb": 512, "cpu_seconds": 60}, "spark": {}},
            "plain": {"gateway": "http://127.0.0.1:8888"},
        }
    )
    assert found["yarn"] == Cluster(
        label="yarn",
        kernelspec="spark_python_yarn_cluster",
        environment={"KERNEL_SPARK_OPTS": "--conf a=b"},
        gateway=Gateway("https://gateway.example/base", "YARN_TOKEN"),
    )
    assert found["small"].limits == {"memory_mb": 512, "cpu_seconds": 60}
    assert found["small"].spark == {}
    assert found["plain"].gateway == Gateway("http://127.0.0.1:8888")


@pytest.mark.parametrize(
    "cluster",
    [
        None,
        {"kernel": "python3"},
        {"kernelspec": 3},
        {"environment": {"a b": "c"}},
        {"environment": {"a": 1}},
        {"environment": {"a": "\0"}},
        {"gateway": "ftp://gateway"},
        {"gateway": "https://user:password@gateway"},
        {"gateway": {"url": "https://gateway", "token": "secret"}},
        {"limits": {"memory": 1}},
        {"limits": {"memory_mb": "1"}},
        {"limits": {"memory_mb": True}},
        {"limits": {"memory_mb": 0}},
        {"gateway": "https://gateway", "limits": {"memory_mb": 1}},
        {"spark": "spark://host"},
    ],
)
def test_what_cannot_be_a_cluster_is_refused_when_the_server_starts(cluster: Any) -> None:
    with pytest.raises(BadCluster) as refused:
        configured({"label": cluster})
    assert "secret" not in str(refused.value)
    assert "password" not in str(refused.value)
    config = Config({"CommandsManager": {"clusters": {"label": cluster}}})
    with pytest.raises(TraitError):
        CommandsManager(
            config=config,
            database=None,
            contents=None,
            notebooks=None,
            kernel_manager=None,
            kernel_spec_manager=None,
            hidden_environment=(),
            converter=None,
        )


def test_a_label_is_only_a_name_where_no_clusters_are_configured() -> None:
    assert cluster_of("anything", {}) == Cluster(label="anything")
    assert cluster_of(None, {}) == Cluster()


def test_an_unknown_label_is_refused_where_clusters_are_configured() -> None:
    clusters = configured({"known": {}})
    assert cluster_of("known", clusters).label == "known"
    assert cluster_of(None, clusters) == Cluster()
    with pytest.raises(Refused, match="There is no cluster with the label other"):
        cluster_of("other", clusters)


def test_the_clusters_kernelspec_is_before_the_notebooks_and_that_before_the_servers() -> None:
    assert kernelspec_of(Cluster(kernelspec="spark"), NAMED, "python3") == "spark"
    assert kernelspec_of(Cluster(), NAMED, "python3") == "ir"
    for metadata in ({}, {"kernelspec": "ir"}, {"kernelspec": {"name": ["ir"]}}):
        assert kernelspec_of(Cluster(), metadata, "python3") == "python3"


def test_a_notebook_with_neither_kernelspec_nor_label_is_refused_as_documented() -> None:
    check_cluster(Cluster(label="any"), {}, 7)
    check_cluster(Cluster(), NAMED, 7)
    with pytest.raises(Refused) as refused:
        check_cluster(Cluster(), {}, 7)
    assert refused.value.status == 422
    assert refused.value.message == (
        "Command type could not be created. Errors: There is no cluster associated with notebook with Id: 7"
    )
