"""Commands that run notebooks, through a server: from the request to what is left of the run."""

from __future__ import annotations

from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import Write
from tests.handlers.command_client import CommandClient

KERNEL = {"name": "python3", "display_name": "Python 3"}


async def test_progress_counts_cells_and_names_the_one_that_runs(
    client: CommandClient, write_notebook: Write
) -> None:
    cells = [new_code_cell("import time; time.sleep(0.4)") for _ in range(4)]
    write_notebook("slow.ipynb", *cells, kernelspec=KERNEL)
    command = await client.submit(note_id=await client.note_id("slow.ipynb"))
    seen = [each async for each in client.polls(command["id"])]
    assert seen[-1]["status"] == "done"
    assert [seen[-1][name] for name in ("progress", "cells", "cells_done", "cell_index")] == [
        100,
        4,
        4,
        3,
    ]
    running = [each for each in seen if each["status"] == "running"]
    assert {each["cell_index"] for each in running} >= {0, 1, 2, 3}
    progress = [each["progress"] for each in seen]
    assert progress == sorted(progress)
    assert {25, 50, 75} <= set(progress)
