"""Build the example notebooks from their sources: ``python examples/build.py [NAME ...]``.

The notebooks are not edited by hand. ``.sources/NAME.py`` holds one notebook in the percent format
that JupyterLab (with Jupytext), VS Code and Spyder also read; this script gives it its layout, runs
it in the ``python3`` kernel of the current environment, and writes it with its outputs.

    pip install '.[examples]'
    python examples/build.py                 # all notebooks
    python examples/build.py city-bikes      # only this one
    python examples/build.py --check         # run nothing: are all notebooks made from these sources?

A source begins with ``# key: value`` lines (``path``: where the notebook goes, ``view``: the active
view) and goes on with cells:

    # %% [markdown] id=title grid=0,0,12,2     a markdown cell; grid=row,column,width,height
    # %% id=chart grid=2,0,6,12                a code cell; in the report it is shown too
    # %% id=table report                       shown in the report, hidden in the grid
    # %% id=total grid=2,6,6,4 report=hidden   shown in the grid only
    # %% id=load                               without a place: hidden in both views
    # %% id=style include=plots                a hidden cell whose source is ``.sources/include/plots.py``

Two builds with the same package versions give the same files: cell ids are the sources' own, every
random generator in the notebooks is seeded, and times, widget model ids, memory addresses and the
interpreter's version are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode, v4

EXAMPLES = Path(__file__).resolve().parent
SOURCES = EXAMPLES / ".sources"
CELL = re.compile(r"^# %%(?P<options>.*)$", re.MULTILINE)
HEADER = re.compile(r"^# (?P<key>path|view): (?P<value>\S+)$", re.MULTILINE)
MODEL_ID = re.compile(r'"model_id": "([0-9a-f]{32})"')
ADDRESS = re.compile(r" at 0x[0-9a-f]+(?=>)")
GRID = {
    "cellMargin": 10,
    "cellHeight": 20,
    "defaultCellHeight": 20,
    "numColumns": 12,
    "maxColumns": 12,
}
CELL_TIMEOUT = 120  # seconds


class BuildError(Exception):
    """A source or its outputs cannot become an example; the message says which and why."""


@dataclass(frozen=True)
class Source:
    """A notebook as written: ``path`` is below ``examples/``, ``cells`` are not yet run."""

    name: str
    path: Path
    notebook: NotebookNode


def layout(views: dict[str, dict[str, Any]], **more: str) -> dict[str, Any]:
    """Wrap views as layout metadata version 1, for a cell or (with ``activeView``) for a notebook."""
    return {"extensions": {"jupyter_dashboards": {"version": 1, **more, "views": views}}}


def cell_layout(options: dict[str, str]) -> dict[str, Any]:
    """Say where the cell stands in both views, from the options of its ``# %%`` line."""
    grid: dict[str, Any] = {"hidden": "grid" not in options}
    if "grid" in options:
        row, column, width, height = (int(number) for number in options["grid"].split(","))
        grid |= {"row": row, "col": column, "width": width, "height": height}
    shown = options.get("report", "shown" if "grid" in options else "hidden") != "hidden"
    return layout({"grid_default": grid, "report_default": {"hidden": not shown}})


def read_cell(line: str, body: str) -> NotebookNode:
    """Make one cell of a ``# %%`` line and the text below it."""
    words = line.split()
    options = {
        key: value
        for key, _, value in (word.partition("=") for word in words if word != "[markdown]")
    }
    if "report" in options and not options["report"]:
        options["report"] = "shown"
    if "id" not in options:
        raise BuildError(f"a cell has no id: # %%{line}")
    about = {"id": options["id"], "metadata": cell_layout(options)}
    if "[markdown]" in words:
        text = "\n".join(
            row.removeprefix("#").removeprefix(" ") for row in body.strip().splitlines()
        )
        return v4.new_markdown_cell(text, **about)
    if "include" in options:
        body = (
            (SOURCES / "include" / f"{options['include']}.py")
            .read_text("utf-8")
            .partition("\n\n")[2]
        )
    return v4.new_code_cell(body.strip(), **about)


def read_source(name: str) -> Source:
    """Read ``.sources/NAME.py``; raises BuildError where it is not a well-formed source."""
    text = (SOURCES / f"{name}.py").read_text("utf-8")
    head, *pieces = CELL.split(text)
    header = {match["key"]: match["value"] for match in HEADER.finditer(head)}
    cells = [read_cell(line, body) for line, body in zip(pieces[::2], pieces[1::2], strict=True)]
    views = {
        "grid_default": {"type": "grid", "name": "grid", **GRID},
        "report_default": {"type": "report", "name": "report"},
    }
    notebook = v4.new_notebook(
        cells=cells,
        metadata={
            **layout(views, activeView=header.get("view", "grid_default")),
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {
                "name": "python",
                "file_extension": ".py",
                "mimetype": "text/x-python",
            },
        },
    )
    nbformat.validate(notebook)
    return Source(name, Path(header.get("path", f"{name}.ipynb")), notebook)


def without_this_machine(notebook: NotebookNode) -> NotebookNode:
    """Give the outputs stable widget ids and drop warnings; raises BuildError where a local path is left."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info.pop("version", None)
    text = ADDRESS.sub("", json.dumps(notebook))
    for number, model in enumerate(dict.fromkeys(MODEL_ID.findall(text)), start=1):
        text = text.replace(model, f"{number:032x}")
    for folder in {str(EXAMPLES.parent), str(Path.home()), sys.prefix}:
        if len(folder) > 1 and f"{folder}/" in text:
            raise BuildError("an output names a folder of this machine")
    return nbformat.from_dict(json.loads(text))


def run(source: Source) -> NotebookNode:
    """Run all cells in the notebook's own folder; raises nbclient's CellExecutionError when one fails."""
    folder = EXAMPLES / source.path.parent
    client = NotebookClient(
        source.notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    language = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    source.notebook.metadata["language_info"] = nbformat.from_dict(language)
    return without_this_machine(source.notebook)


def written_cells(notebook: NotebookNode) -> list[tuple[str, str, str, Any]]:
    """What a source decides about a notebook's cells: all but outputs and execution counts."""
    return [(cell.id, cell.cell_type, cell.source, cell.metadata) for cell in notebook.cells]


def is_current(source: Source) -> bool:
    """Whether the notebook on disk has this source's cells and layout."""
    file = EXAMPLES / source.path
    if not file.exists():
        return False
    notebook = nbformat.read(file, as_version=4)
    same_layout = notebook.metadata.get("extensions") == source.notebook.metadata["extensions"]
    return same_layout and written_cells(notebook) == written_cells(source.notebook)


def main() -> int:
    """Build or check the notebooks named on the command line; the exit code is 1 when a check fails."""
    known = sorted(file.stem for file in SOURCES.glob("*.py"))
    parser = argparse.ArgumentParser(
        description="Build the example notebooks from examples/.sources."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument(
        "--check", action="store_true", help="run nothing; fail when a notebook is not current"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"no such source: {', '.join(sorted(unknown))}")
    os.environ.pop("QUERY_STRING", None)  # the stored outputs are those of the default parameters
    sources = [read_source(name) for name in arguments.names or known]
    if arguments.check:
        stale = [source.name for source in sources if not is_current(source)]
        for name in stale:
            print(f"{name}: not built from its source; run python examples/build.py {name}")
        return 1 if stale else 0
    for source in sources:
        notebook = run(source)
        nbformat.validate(notebook)
        file = EXAMPLES / source.path
        nbformat.write(notebook, file)
        print(f"{source.path}: {len(notebook.cells)} cells, {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
