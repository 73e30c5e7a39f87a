"""A label whose kernels get a Spark session, on a real standalone cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from nbformat.v4 import new_code_cell
from tornado.httpclient import AsyncHTTPClient

from tests.conftest import Write
from tests.handlers.command_client import CommandClient

from .spark_cluster import SparkCluster

SECONDS = 60


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """The cluster."""
    with SparkCluster(tmp_path_factory.mktemp("spark")) as cluster:
        yield cluster


@pytest.fixture
def extension_config(spark: SparkCluster) -> dict[str, Any]:
    settings = {
        "spark.master": spark.master,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.sql.shuffle.partitions": "2",
    }
    cluster = {"kernelspec": "python3", "environment": spark.environment, "spark": settings}
    return {"CommandsManager": {"clusters": {"spark": cluster}, "kernel_start_timeout": SECONDS}}


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_notebook_aggregates_a_million_rows_on_the_cluster_of_its_label(
    client: CommandClient, write_notebook: Write, spark: SparkCluster
) -> None:
    write_notebook(
        "aggregate.ipynb",
        new_code_cell("rows = 10", metadata={"tags": ["parameters"]}),
        new_code_cell(
            "found = spark.range(rows).selectExpr('count(*) AS n', 'sum(id) AS s').first()"
        ),
        new_code_cell("print(found.n, found.s, sc.master, sep='\\t')"),
    )
    note = await client.note_id("aggregate.ipynb")
    command = await client.submit(
        note_id=note, label="spark", arguments={"rows": 1_000_000}, name="million"
    )
    await driver_is_seen(spark)
    ended = await client.ended(command["id"])
    log = (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()
    assert ended["status"] == "done", log
    results = await client.get(f"/commands/{command['id']}/results")
    assert results["results"] == f"1000000\t499999500000\t{spark.master}"
    (job,) = await client.get(f"/commands/{command['id']}/jobs")
    assert job["job_id"].startswith("app-")
    assert job["url"].startswith("http://")
    assert f"Spark application {job['job_id']}, {job['url']}" in log
    # The master knows it, by the command's name, as ended: nothing of the run is left.
    page = await AsyncHTTPClient().fetch(spark.web)
    assert job["job_id"] in page.body.decode()
    assert "million" in page.body.decode()
    await no_driver_is_left(spark)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_cancelled_command_leaves_no_driver(
    client: CommandClient, write_notebook: Write, spark: SparkCluster
) -> None:
    code = "spark.range(10**13).selectExpr('sum(id * id % 7)').first()"
    write_notebook("long.ipynb", new_code_cell("print('ready', flush=True)"), new_code_cell(code))
    note = await client.note_id("long.ipynb")
    command = await client.submit(note_id=note, label="spark")
    log = ""
    while "ready" not in log.splitlines():
        await asyncio.sleep(0.1)
        log = (await client.ask("GET", f"/commands/{command['id']}/logs")).body.decode()
    await driver_is_seen(spark)
    await client.ask("PUT", f"/commands/{command['id']}", {"status": "kill"})
    assert (await client.ended(command["id"]))["status"] == "cancelled"
    (job,) = await client.get(f"/commands/{command['id']}/jobs")
    assert job["job_id"] in log
    await no_driver_is_left(spark)


def drivers(spark: SparkCluster) -> list[psutil.Process]:
    """The processes that kernels have started for this cluster."""
    return [p for p in psutil.process_iter(["cmdline"]) if is_driver(p.info["cmdline"], spark)]


async def driver_is_seen(spark: SparkCluster) -> None:
    """Returns when there is one: otherwise it would say nothing that none is left."""
    async with asyncio.timeout(SECONDS):
        while not drivers(spark):
            await asyncio.sleep(0.05)


async def no_driver_is_left(spark: SparkCluster) -> None:
    """A driver ends when its kernel has; it is a process of its own."""
    _, left = await asyncio.to_thread(psutil.wait_procs, drivers(spark), timeout=10)
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]


def is_driver(command: list[str] | None, spark: SparkCluster) -> bool:
    """Whether a process is the driver that a kernel has started for this cluster."""
    text = " ".join(command or [])
    return "SparkSubmit" in text and spark.master in text
