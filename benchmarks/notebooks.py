"""The notebooks that are shown: made here, executed by nbclient so that they have stored outputs.

Both begin with an output that is the same at each run (the mark of first content) and end with one that
differs at each run (the mark of the last output), so that a stored output can't pass for a live one.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FIRST = "first content of the benchmark"
"""Printed by the first cell of each notebook."""

LAST = re.compile(r"last output of the benchmark: ([0-9a-f]{32})")
"""Printed by the last cell of each notebook, with a UUID."""

_PRINT_FIRST = f"print({FIRST!r})"
_PRINT_LAST = "import uuid\nprint('last output of', 'the benchmark:', uuid.uuid4().hex)"

_SETUP = """\
%matplotlib inline
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

rng = np.random.default_rng(1)
sales = pd.DataFrame(
    rng.normal(size=(500, 6)).cumsum(axis=0), columns=["north", "south", "east", "west", "sea", "air"]
)
sales.describe()"""

_PLOT = """\
figure, axes = plt.subplots(figsize=(6, 3.5))
sales[{name!r}].plot(ax=axes, title={name!r})
axes.fill_between(sales.index, sales[{name!r}], alpha=0.3)
plt.show()"""


@dataclass(frozen=True, slots=True)
class Sample:
    """A notebook on disk: `name` without `.ipynb`, the stored UUID of its last cell, what to expect of it."""

    name: str
    title: str
    stored: str
    images: int
    cells: int


def _cells(name: str) -> list[str]:
    if name == "trivial":
        middle = [f"print('line', {number}, 6 * 7)" for number in range(2, 10)]
    else:
        columns = ("north", "south", "east", "west", "sea", "air")
        middle = [_SETUP, *(_PLOT.format(name=column) for column in columns)]
    return [_PRINT_FIRST, *middle, _PRINT_LAST]


_TITLES = {"trivial": "ten print cells", "plots": "pandas + six matplotlib plots"}


def make(folder: Path, kernel_name: str) -> list[Sample]:
    """Write and execute the notebooks. `kernel_name` is the kernelspec that all servers run them with."""
    return [_make(folder, name, kernel_name) for name in _TITLES]


def _make(folder: Path, name: str, kernel_name: str) -> Sample:
    v4 = nbformat.v4
    kernelspec = {"name": kernel_name, "display_name": "Benchmark", "language": "python"}
    notebook: NotebookNode = v4.new_notebook(
        cells=[v4.new_code_cell(source) for source in _cells(name)],
        metadata={"kernelspec": kernelspec, "language_info": {"name": "python"}},
    )
    NotebookClient(notebook, timeout=120, kernel_name=kernel_name).execute(
        stderr=subprocess.DEVNULL
    )
    nbformat.write(notebook, folder / f"{name}.ipynb")
    found = LAST.search(notebook.cells[-1].outputs[0].text)
    assert found, "the last cell has not printed its mark"
    images = sum(
        "image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.outputs
    )
    return Sample(name, _TITLES[name], found[1], images, len(notebook.cells))


def write_one_cell(folder: Path, source: str, kernel_name: str) -> str:
    """A notebook of one code cell for the round trips; its name with `.ipynb`."""
    v4 = nbformat.v4
    notebook = v4.new_notebook(
        cells=[v4.new_code_cell(source)],
        metadata={
            "kernelspec": {"name": kernel_name, "display_name": "Benchmark", "language": "python"}
        },
    )
    nbformat.write(notebook, folder / "one-cell.ipynb")
    return "one-cell.ipynb"
