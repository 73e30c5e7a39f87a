"""Arguments become literals of the kernel's language, and declared parameters are read."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from jupyter_dashboards_api.commands.declarations import Parameter, declared_in
from jupyter_dashboards_api.commands.parameters import (
    INJECTED_TAG,
    LANGUAGES,
    MAX_DEPTH,
    TAG,
    assignments,
    check_names,
    declared,
    literal,
    parsed_arguments,
    unknown_names,
    with_arguments,
)
from jupyter_dashboards_api.errors import InvalidRequest

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
WHOLE = st.integers() | st.integers(-(2**70), 2**70)


def json_values(whole: st.SearchStrategy[int], text: st.SearchStrategy[str] = TEXT) -> Any:
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(
        st.none() | st.booleans() | whole | floats | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
        max_leaves=12,
    )


NASTY = [
    "'", '"', "\\", "\\'", '"""', "'''", "\n", "\r\n", "\u2028", "\u2029", "\x85", "\0", "\x1a", "\ufeff", "🙂", "\u202e",
    "${x}", "$(x)", "#{x}", "`x`", "{x}", "%s", "\\u0022", "\\N{DIGIT ONE}", "</script>", "'); raise SystemExit #", "\t",
]  # fmt: skip


class PythonKernel:
    """A kernel of Python that assigns, and answers what it has then."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def holds(self, code: str) -> str:
        """`x` as JSON, after running code: what the kernel has, with its types."""
        found: list[str] = []
        reply = self.client.execute_interactive(
            f"x = None\n{code}\nimport json as j; print(j.dumps(x))",
            timeout=20,
            output_hook=lambda m: found.append(str(m["content"].get("text", ""))),
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(found).strip()


@pytest.fixture(scope="module")
def kernel() -> Iterator[PythonKernel]:
    """A running kernel of Python."""
    started = PythonKernel()
    yield started
    started.client.stop_channels()
    started.manager.shutdown_kernel(now=True)


QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@QUICK
@given(value=json_values(WHOLE))
def test_any_json_value_arrives_in_a_python_kernel_as_it_was_sent(
    kernel: PythonKernel, value: Any
) -> None:
    arguments = parsed_arguments(json.dumps({"x": value}))
    assert kernel.holds(assignments(arguments, "python")) == json.dumps(value)


def test_texts_that_look_like_code_arrive_in_a_python_kernel_as_texts(kernel: PythonKernel) -> None:
    value = {text: [text, {text: text}] for text in NASTY}
    arguments = parsed_arguments({"x": value})
    assert kernel.holds(assignments(arguments, "python")) == json.dumps(value)


def node(program: str) -> subprocess.CompletedProcess[str]:
    """Runs JavaScript, by the Node.js that built the pages."""
    finder = Path(__file__).parents[2] / "_build" / "node.py"
    command = [sys.executable, str(finder), "node", "-"]
    return subprocess.run(command, input=program, text=True, capture_output=True)


@settings(max_examples=8, deadline=None)
@given(values=st.lists(json_values(st.integers(-(2**53), 2**53)), min_size=20, max_size=60))
def test_any_json_value_arrives_in_javascript_as_it_was_sent(values: list[Any]) -> None:
    values = [*values, {text: text for text in NASTY}, {"__proto__": {"a": 1}}]
    names = {f"x{i}": value for i, value in enumerate(values)}
    checks = [
        f"same({name}, JSON.parse({json.dumps(json.dumps(v))}));" for name, v in names.items()
    ]
    program = ["const same = require('assert').deepStrictEqual;", assignments(names, "javascript")]
    done = node("\n".join([*program, *checks]))
    assert done.returncode == 0, done.stderr[-2000:]


def test_whole_numbers_beyond_doubles_are_exact_in_javascript() -> None:
    code = assignments({"x": 2**64, "y": -(2**64)}, "javascript")
    done = node(f"{code}\nconsole.log(`${{x}} ${{y}}`)")
    assert done.stdout.strip() == f"{2**64} {-(2**64)}", done.stderr


# What the other languages' rules say of a text's literal: plain characters, or one of these escapes.
ESCAPES = {
    "r": re.compile(r'[^"\\\n]|\\U([0-9a-f]{8})'),
    "julia": re.compile(r'[^"\\\n$]|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})'),
    "scala": re.compile(r'[^"\\\n]|\\u([0-9a-f]{4})|\\([btnfr"\\])'),
}
SHORT = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def read(code: str, language: str) -> str:
    """The text of a literal, read by the language's rules; fails where it would end early, or be cut."""
    assert code.isascii()
    assert code[0] == code[-1] == '"'
    units: list[int] = []
    at, inside = 0, code[1:-1]
    while at < len(inside):
        match = ESCAPES[language].match(inside, at)
        assert match is not None, inside[at:]
        escape = next((group for group in match.groups() if group is not None), None)
        if escape is None:
            units.append(ord(match[0]))
        elif escape in SHORT:
            units.append(ord(SHORT[escape]))
        else:
            units.append(int(escape, 16))
        at = match.end()
    joined = b"".join(
        unit.to_bytes(2, "big") if unit < 0x10000 else chr(unit).encode("utf-16-be")
        for unit in units
    )
    return joined.decode("utf-16-be")


@pytest.mark.parametrize("language", ["r", "julia", "scala"])
@settings(max_examples=150, deadline=None)
@given(text=TEXT | st.sampled_from(NASTY))
def test_texts_of_the_other_languages_are_read_back_by_their_rules(
    language: str, text: str
) -> None:
    # R has no NUL, Scala's oldest versions no way to write a control character that is no line's end.
    if language == "r":
        text = text.replace("\0", "")
    if language == "scala":
        text = re.sub(r"[\0-\x07\x0b\x0e-\x1f\x7f]", "", text)
    assert read(literal(text, language), language) == text


def test_types_are_kept_in_every_language() -> None:
    value = {"a b": [None, True, 1, 2.5, "é", 3_000_000_000]}
    assert assignments({"x": value}, "r") == (
        '`x` <- list("a b" = list(NULL, TRUE, 1L, 2.5, "\\U000000e9", 3000000000.0))'
    )
    assert assignments({"x": value}, "julia") == (
        'x = Dict{String, Any}("a b" => Any[nothing, true, 1, 2.5, "\\u00e9", 3000000000])'
    )
    assert assignments({"x": value}, "scala") == (
        'val x = Map[String, Any]("a b" -> List[Any](null, true, 1, 2.5, "\\u00e9", 3000000000L))'
    )
    assert assignments({"x": 0.1, "y": 1 / 3}, "r") == (
        "`x` <- 0.1\n`y` <- 0x1.5555555555555p-2  # 0.3333333333333333"
    )
    assert literal(2**80, "julia") == f'big"{2**80}"'
    assert literal(2**80, "scala") == f'BigInt("{2**80}")'


@pytest.mark.parametrize(
    ("value", "language"),
    [("\0", "r"), ("\x01", "scala"), ({"": 1}, "r"), (2**80, "r"), (10**400, "r")],
)
def test_what_a_language_cannot_hold_is_refused(value: Any, language: str) -> None:
    with pytest.raises(InvalidRequest):
        literal(value, language)


@pytest.mark.parametrize(
    ("name", "language"), [("end", "julia"), ("val", "scala"), ("let", "javascript")]
)
def test_words_of_a_language_are_no_names(name: str, language: str) -> None:
    with pytest.raises(InvalidRequest):
        assignments({name: 1}, language)


def test_a_language_that_is_not_known_takes_no_arguments() -> None:
    notebook = new_notebook(cells=[new_code_cell("1")])
    assert with_arguments(notebook, {}, "cobol").cells[0].source == "1"
    with pytest.raises(InvalidRequest):
        with_arguments(notebook, {"x": 1}, "cobol")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str) -> None:
    with pytest.raises(InvalidRequest):
        parsed_arguments(f'{{"x": [{number}]}}')
    with pytest.raises(InvalidRequest):
        parsed_arguments({"x": {"y": float(number)}})


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a-b",
        "1a",
        "a\n",
        "a;b",
        "a=1;b",
        "a`b",
        "..1",
        "...",
        ".1",
        "x\u2028",
        "\ud800",
    ],
)
def test_names_that_are_no_names_in_any_language_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        parsed_arguments({name: 1})
    for language in LANGUAGES:
        with pytest.raises(InvalidRequest):
            check_names({name: 1}, language)


@pytest.mark.parametrize(
    ("language", "names", "refused"),
    [
        # The last two are read as `if` and `__debug__`.
        ("python", "größe δ _x from_ match", "a.b class None from lambda __debug__ 𝒊𝒇 __𝒅ebug__"),
        ("r", "lambda from class is my.var .x _y if", "größe .1 a..b`"),
        ("julia", "δ größe lambda", "a.b function end"),
        ("scala", "from lambda in pass", "a.b größe val class"),
        ("javascript", "from lambda", "a.b größe class"),
    ],
)
def test_which_names_an_argument_can_have_is_the_languages_matter(
    language: str, names: str, refused: str
) -> None:
    for name in names.split():
        parsed_arguments({name: 1})
        check_names({name: 1}, language)
        assert name in assignments({name: 1}, language)
    for name in refused.split():
        with pytest.raises(InvalidRequest):
            check_names({name: 1}, language)
        with pytest.raises(InvalidRequest):
            assignments({name: 1}, language)


def test_python_takes_the_names_that_it_is_given() -> None:
    names: dict[str, Any] = {}
    exec(assignments({"größe": 2, "δ": "x"}, "python"), names)
    assert (names["größe"], names["δ"]) == (2, "x")


@pytest.mark.parametrize(
    ("language", "source", "names"),
    [
        ("python", "größe = 1", ["größe"]),
        ("r", "my.var <- 1; .x = 2; lambda <- 0.5", ["my.var", ".x", "lambda"]),
        ("julia", "δ = 1; größe::Int = 2", ["δ", "größe"]),
    ],
)
def test_what_is_declared_can_be_given(language: str, source: str, names: list[str]) -> None:
    assert [each.name for each in declared_in(source, language)] == names
    check_names(dict.fromkeys(names, 1), language)


@pytest.mark.parametrize("value", ["[1]", "1", '"a"', "{", [1], 3, True, '{"x": "\\ud800"}'])
def test_arguments_are_an_object_of_texts_that_can_be_written(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        parsed_arguments(value)


def test_arguments_are_bounded() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(InvalidRequest):
        parsed_arguments({"x": deep})
    with pytest.raises(InvalidRequest):
        parsed_arguments("[" * 100_000)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_deepest_value_that_is_taken_can_be_written(language: str) -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert literal(deep, language)


@pytest.mark.parametrize("nothing", [None, "", "{}", {}])
def test_no_arguments_are_no_arguments(nothing: Any) -> None:
    assert parsed_arguments(nothing) == {}


def tags(notebook: Any) -> list[Any]:
    return [cell.metadata.get("tags") for cell in notebook.cells]


def test_arguments_follow_the_cell_that_declares_parameters() -> None:
    cells = [
        new_code_cell("import os"),
        new_code_cell("x = 1", metadata={"tags": [TAG]}),
        new_code_cell("x = 2", metadata={"tags": [INJECTED_TAG]}),
        new_code_cell("x"),
    ]
    notebook = new_notebook(cells=cells)
    changed = with_arguments(notebook, {"x": 3}, "python")
    assert tags(changed) == [None, [TAG], [INJECTED_TAG], None]
    assert changed.cells[2].source == "x = 3"
    assert len(notebook.cells) == 4
    assert tags(with_arguments(notebook, {}, "python")) == [None, [TAG], None]


def test_arguments_become_the_first_code_cell_where_none_declares() -> None:
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell("print(x)")])
    changed = with_arguments(notebook, {"x": 3}, "python")
    assert [cell.source for cell in changed.cells] == ["# Title", "x = 3", "print(x)"]
    assert with_arguments(new_notebook(), {"x": 3}, "python").cells[0].source == "x = 3"


class Uncopied(dict[str, Any]):
    """An output that can't be copied."""

    def __deepcopy__(self, memo: Any) -> Any:
        raise AssertionError


@pytest.mark.parametrize("arguments", [{}, {"x": 3}])
def test_outputs_which_the_run_replaces_are_not_copied(arguments: dict[str, Any]) -> None:
    code = new_code_cell("x = 1", metadata={"tags": [TAG], "a": [1]}, execution_count=7)
    code["outputs"] = [Uncopied(output_type="stream", name="stdout", text="old")]
    notebook = new_notebook(cells=[code, new_markdown_cell("# Title")], metadata={"b": [2]})
    changed = with_arguments(notebook, arguments, "python")
    copied = changed.cells[0]
    assert (copied.outputs, copied.execution_count, copied.source) == ([], None, "x = 1")
    assert (code.execution_count, len(code.outputs)) == (7, 1)
    # Nothing of it is the source's own.
    for metadata in (copied.metadata, changed.cells[-1].metadata, changed.metadata):
        metadata["new"] = True
    copied.metadata["a"].append(2)
    assert code.metadata == {"tags": [TAG], "a": [1]}
    assert (notebook.metadata, notebook.cells[1].metadata) == ({"b": [2]}, {})


def test_declared_parameters_have_types_defaults_and_help() -> None:
    source = (
        "%matplotlib inline\n"
        "region = 'zürich#1'  # where it is: ä\n"
        "year: int = 2026\n"
        "rate = -1.5\n"
        "on = True\n"
        "names = ['a', 'b']\n"
        "about: dict[str, int] = {'a': 1}\n"
        "nothing = None\n"
        "when = datetime.now()  # computed\n"
        "pair = (1, 2)\n"
        "limit: float\n"
        "a.b = 1\n"
        "year = 2027\n"
    )
    cells = [new_code_cell("no = 1"), new_code_cell(source, metadata={"tags": [TAG]})]
    found = declared(new_notebook(cells=cells), "python")
    assert found == [
        Parameter("region", "string", "zürich#1", True, "where it is: ä"),
        Parameter("year", "integer", 2027, True),
        Parameter("rate", "float", -1.5, True),
        Parameter("on", "boolean", True, True),
        Parameter("names", "list", ["a", "b"], True),
        Parameter("about", "object", {"a": 1}, True),
        Parameter("nothing", "null", None, True),
        Parameter("when", "", help="computed"),
        Parameter("pair", "list", [1, 2], True),
        Parameter("limit", "float"),
    ]
    assert unknown_names({"year": 1, "yaer": 2}, found) == ["yaer"]


def of_python(source: str) -> list[Parameter]:
    cell = new_code_cell(source, metadata={"tags": [TAG]})
    return declared(new_notebook(cells=[cell]), "python")


def test_lines_of_ipython_are_none_of_a_text_or_of_brackets() -> None:
    source = (
        "%matplotlib inline  # it's\n"
        "!ls \\\n"
        "  a 'b\n"
        '  # a "comment\n'
        "%load_ext x\n"
        'query = """select \\"\n'
        "% of it\n"
        '! important"""\n'
        "long = 'a\\\n"
        "%b'\n"
        "rest = (17\n"
        "  % 5)\n"
        "other = 17 \\\n"
        "  % 5\n"
        "about = {  # (\n"
        "  'a': 1}\n"
        "  %time z\n"
        "!pwd"
    )
    assert of_python(source) == [
        Parameter("query", "string", 'select "\n% of it\n! important', True),
        Parameter("long", "string", "a%b", True),
        Parameter("rest", ""),
        Parameter("other", ""),
        Parameter("about", "object", {"a": 1}, True),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(end: str) -> None:
    assert of_python(f"a = 1  # one{end}{end}b = 2  # two{end}") == [
        Parameter("a", "integer", 1, True, "one"),
        Parameter("b", "integer", 2, True, "two"),
    ]


def test_a_value_of_many_names_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    literal_eval = ast.literal_eval

    def counting(node: Any) -> Any:
        read.append(node)
        return literal_eval(node)

    monkeypatch.setattr(ast, "literal_eval", counting)
    assert of_python("a = b = a.c = d = [1]  # all") == [
        Parameter(name, "list", [1], True, "all") for name in "abd"
    ]
    assert len(read) == 1


@pytest.mark.parametrize("source", ["x = ", "x = float('nan')", "x = 1e999", "f(x)", "(" * 5000])
def test_a_cell_that_cannot_be_read_declares_no_default(source: str) -> None:
    cells = [new_code_cell(source, metadata={"tags": [TAG]})]
    assert not any(each.has_default for each in declared(new_notebook(cells=cells), "python"))


@given(source=st.text(max_size=60))
def test_reading_parameters_never_fails(source: str) -> None:
    declared(new_notebook(cells=[new_code_cell(source, metadata={"tags": [TAG]})]), "python")
