"""Arguments in R for real: in one process of R for all values, and in notebooks that IRkernel runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell

from jupyter_dashboards_api.commands.parameters import MAX_DEPTH, assignments, parsed_arguments
from tests.conftest import Write
from tests.handlers.command_client import CommandClient

from .test_parameters import NASTY

SECONDS = 60
"""How long R may take for one answer."""

KERNEL = {"name": "ir", "display_name": "R", "language": "R"}

# Reads a line that is a JSON text, the code, and writes what `x` is then: exactly, also of doubles and texts.
PROGRAM = r"""
show <- function(x) {
  if (is.null(x)) return("null")
  if (is.list(x)) {
    inner <- vapply(x, show, "")
    if (is.null(names(x))) return(paste0("[", paste(inner, collapse = ","), "]"))
    keys <- vapply(names(x), show, "")
    pairs <- if (length(x)) paste0("[", keys, ",", inner, "]") else character(0)
    return(paste0("{\"object\":[", paste(pairs, collapse = ","), "]}"))
  }
  if (is.logical(x)) return(if (x) "true" else "false")
  if (is.integer(x)) return(sprintf("%d", x))
  if (is.double(x)) return(sprintf("{\"double\":\"%a\"}", x))
  paste0("{\"text\":[", paste(utf8ToInt(enc2utf8(x)), collapse = ","), "]}")
}
input <- file("stdin", "r", encoding = "UTF-8")
while (length(line <- readLines(input, n = 1)) > 0) {
  x <- "nothing was assigned"
  failed <- tryCatch({ eval(parse(text = jsonlite::fromJSON(line))); NULL }, error = conditionMessage)
  cat(if (is.null(failed)) show(x) else jsonlite::toJSON(failed), "\n", sep = "")
}
"""


class RProcess:
    """A process of R that assigns, and answers what it has then."""

    def __init__(self, temporary: Path) -> None:
        program = shutil.which("R")
        assert program, "R is missing: scripts/install installs it."
        self.process = subprocess.Popen(
            [program, "--vanilla", "--no-echo", "-e", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )

    def holds(self, code: str) -> Any:
        """`x` after running code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        late = threading.Timer(SECONDS, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(json.dumps(code) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        finally:
            late.cancel()
        assert line, f"R has ended, or did not answer within {SECONDS} s."
        return json.loads(line)

    def close(self) -> None:
        """Ends it."""
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


@pytest.fixture(scope="module")
def r(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RProcess]:
    """A running R."""
    started = RProcess(tmp_path_factory.mktemp("r"))
    yield started
    started.close()


def expected(value: Any) -> Any:
    """A JSON value as the program shows it: R has whole numbers of 32 bits, and doubles."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(2**31) < value < 2**31:
        return value
    if isinstance(value, (int, float)):
        return {"double": float(value)}
    if isinstance(value, str):
        return {"text": [*map(ord, value)]}
    if isinstance(value, list):
        return [*map(expected, value)]
    return {"object": [[expected(key), expected(item)] for key, item in value.items()]}


def exact(shown: Any) -> Any:
    """What the program has shown, with doubles as Python's."""
    if isinstance(shown, list):
        return [*map(exact, shown)]
    if not isinstance(shown, dict):
        return shown
    (kind, item) = next(iter(shown.items()))
    if kind == "double":
        return {kind: float.fromhex(item)}
    return {kind: exact(item)}


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXT.filter(bool), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


def nested(depth: int, as_object: bool) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if as_object else [value]
    return value


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=VALUES)
@example(value=[[], {}, [{}], {"a": []}])
@example(value={text: [text] for text in NASTY if text != "\0"})
# Decimals that R reads as a neighbour of theirs.
@example(value=[53.60207925773366, 8.458424568396415e301, 6.342585611475394e-83, 5e-324])
@example(value=[-(2**31), 2**31, -(2**31) + 1, 2**53, -0.0, 1e22, 1.7976931348623157e308])
# R reads no text with escapes of more than 10,000 characters.
@example(value=["é" * 30_000, "a\n" * 10_000, "x" * 100_000, {"k" * 2500: 1}])
@example(value=nested(MAX_DEPTH, False))
@example(value=nested(MAX_DEPTH, True))
def test_any_json_value_arrives_in_r_as_it_was_sent(r: RProcess, value: Any) -> None:
    arguments = parsed_arguments(json.dumps({"x": value}))
    assert exact(r.holds(assignments(arguments, "r"))) == expected(value)


@pytest.mark.parametrize("name", ["x", "_x", "function", "repeat", "next", "TRUE", "NULL"])
def test_names_that_r_would_read_otherwise_are_assigned_to(r: RProcess, name: str) -> None:
    arguments = parsed_arguments({name: "é"})
    code = f"{assignments(arguments, 'r')}\nx <- get({json.dumps(name)})"
    assert r.holds(code) == {"text": [233]}


@pytest.fixture
def ir(jp_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's server has the kernel that IRkernel brings, which leaves a folder of temporary files when it is killed."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ask = [
        "R",
        "--vanilla",
        "--no-echo",
        "-e",
        "cat(system.file('kernelspec', package='IRkernel'))",
    ]
    found = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert found, "IRkernel is missing: scripts/install installs it."
    shutil.copytree(found, jp_data_dir / "kernels" / "ir")


@pytest.fixture
def run(ir: None, client: CommandClient, write_notebook: Write) -> Any:
    """Runs cells as a notebook of R; answers the command that has ended."""

    async def submit(*sources: str, **fields: Any) -> Any:
        cells = [*map(new_code_cell, sources)]
        cells[0].metadata["tags"] = ["parameters"]
        write_notebook("r.ipynb", *cells, kernelspec=KERNEL)
        note = await client.note_id("r.ipynb")
        return await client.ended((await client.submit(note_id=note, **fields))["id"])

    return submit


async def test_a_notebook_of_r_runs_with_its_arguments(client: CommandClient, run: Any) -> None:
    ended = await run(
        "who <- 'nobody'  # the name\ntimes <- 1L\nrate = 0.5",
        "cat(rep(who, times), sep = '\\n'); cat('\\n', rate == 0.1 + 0.2, class(more$a), '\\n')",
        arguments={"who": "Größe 'x'\\", "times": 2, "rate": 0.1 + 0.2, "more": {"a": []}},
    )
    assert ended["status"] == "done", ended["error"]
    found = await client.get(f"/commands/{ended['id']}/results")
    assert found["results"].split() == ["Größe", "'x'\\"] * 2 + ["TRUE", "list"]
    assert ended["unknown_arguments"] == ["more"]
    note = ended["command"]["note_id"]
    shown = await client.get(f"/notebooks/{note}/parameters")
    assert shown["parameters"] == [
        {"name": "who", "type": "string", "help": "the name", "default": "nobody"},
        {"name": "times", "type": "integer", "help": "", "default": 1},
        {"name": "rate", "type": "float", "help": "", "default": 0.5},
    ]


async def test_an_error_of_r_is_told_with_its_cell(client: CommandClient, run: Any) -> None:
    ended = await run("x <- 1", "stop('no such thing')")
    assert ended["status"] == "error"
    assert ended["error"]["cell_index"] == 1
    assert "no such thing" in ended["error"]["evalue"]
    response = await client.ask("GET", f"/commands/{ended['id']}/notebook")
    notebook = nbformat.reads(response.body.decode(), as_version=4)
    assert notebook.cells[1].outputs[-1].output_type == "error"
