"""What cells of R, Julia and Scala declare. Those of Python are in `test_parameters.py`."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_dashboards_api.commands.declarations import MAX_SOURCE, Parameter, declared_in
from jupyter_dashboards_api.commands.literals import (
    JuliaReader,
    PythonReader,
    RReader,
    ScalaReader,
    SourceReader,
)
from jupyter_dashboards_api.commands.parameters import TAG, assignments, declared

R = r"""
library(dplyr)
# The region of the report
region <- "z\u00fcrich # 1"  # where it is
year = 2026L
rate <- -1.5; on <- TRUE
exact <- 1
hex <- 0x1.8p1
names <- c('a', "b")
mixed <- c(1, "a")
about <- list(a = 1L, `b c` = list(NULL, F))
none <- NULL
when <- Sys.Date()  # computed
sum <- 1 + 2
f <- function(x) {
  inner <- 1
  inner
}
from(
a = 1
)
text <- "two
lines"
a.b <- 1
x == 2
year <- 2027L  # type: float in full
later <<- 3L
"""

JULIA = r"""
using Dates
region = "zürich \$1 \u00e9"  # where it is
year::Int = 2026
const rate = -1.5e0
on = true
big = 1_000_000
small = .5f0
names = ["a",
  "b", # the second
]
typed = Float64[1, 2.5]
matrix = [1 2]
pair = (1, "a")
one = (1)
about = Dict{String, Any}("a" => 1, "b" => nothing)
limit::Union{Int,Nothing} = 3
greeting = "hello $region"
long = '''not'''
#= block
hidden = 1
=#
function f(x)
    inner = 1
end
letter = 'a'
doc = "a # b"
x == 2
n = 1; m = 2
"""

SCALA = (
    r"""
import org.apache.spark.sql._
val region = "z\u00fcrich // 1"  // where it is
val year: Int = 2026
var rate = -1.5
val whole: Double = 1
val on: Boolean = true
val large = 3000000000L
val single = 1f
val names: List[String] = List("a", "b")
val empty = List.empty[Int]
val about = Map[String, Any]("a" -> 1, "b" -> null)
val raw = """
    + '"""a "b" \\n"""'
    + r"""
val computed = names.size  // computed
val text = s"hello $region"
/* val hidden = 1 */
object Inner {
val inner = 1
}
def f(x: Int = 1) = x
val none = null; val last = 'c'
lazy val hex = 0xFF
"""
)


def of(language: str, source: str) -> dict[str, Any]:
    """Name → type and default, without the default where there is none."""
    return {
        each.name: (each.type, each.default) if each.has_default else (each.type,)
        for each in declared_in(source, language)
    }


def test_r_declares_by_assignments_of_literals() -> None:
    assert of("r", R) == {
        "region": ("string", "zürich # 1"),
        "year": ("float", 2027),
        "rate": ("float", -1.5),
        "on": ("boolean", True),
        # As R has it: only `1L` is a whole number.
        "exact": ("float", 1.0),
        "hex": ("float", 3.0),
        "names": ("list", ["a", "b"]),
        "mixed": ("",),
        "about": ("object", {"a": 1, "b c": [None, False]}),
        "none": ("null", None),
        "when": ("",),
        "sum": ("",),
        "f": ("",),
        "text": ("string", "two\nlines"),
        "later": ("integer", 3),
        "a.b": ("float", 1),
    }


def test_julia_declares_by_assignments_of_literals() -> None:
    assert of("julia", JULIA) == {
        "region": ("string", "zürich $1 é"),
        "year": ("integer", 2026),
        "rate": ("float", -1.5),
        "on": ("boolean", True),
        "big": ("integer", 1_000_000),
        "small": ("float", 0.5),
        "names": ("list", ["a", "b"]),
        "typed": ("list", [1, 2.5]),
        "matrix": ("",),
        "pair": ("list", [1, "a"]),
        "one": ("integer", 1),
        "about": ("object", {"a": 1, "b": None}),
        "limit": ("integer", 3),
        "greeting": ("",),
        "long": ("",),
        "letter": ("",),
        "doc": ("string", "a # b"),
        "n": ("integer", 1),
        "m": ("integer", 2),
    }


def test_scala_declares_by_values_and_variables_of_literals() -> None:
    assert of("scala", SCALA) == {
        "region": ("string", "zürich // 1"),
        "year": ("integer", 2026),
        "rate": ("float", -1.5),
        "whole": ("float", 1),
        "on": ("boolean", True),
        "large": ("integer", 3_000_000_000),
        "single": ("float", 1.0),
        "names": ("list", ["a", "b"]),
        "empty": ("list", []),
        "about": ("object", {"a": 1, "b": None}),
        "raw": ("string", 'a "b" \\n'),
        "computed": ("",),
        "text": ("",),
        "none": ("null", None),
        "last": ("",),
        "hex": ("integer", 255),
    }


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("r", "x <- 1L # the help"),
        ("julia", "x = 1 # the help"),
        ("scala", "val x = 1 // the help"),
        ("python", "x = 1 # the help"),
    ],
)
def test_a_comment_is_help_and_may_begin_with_the_type(language: str, line: str) -> None:
    assert declared_in(line, language) == [Parameter("x", "integer", 1, True, "the help")]
    typed = line.replace("the help", "type: float the help")
    assert declared_in(typed, language) == [Parameter("x", "float", 1, True, "the help")]
    other = line.replace("the help", "type: of the house")
    assert declared_in(other, language)[0].help == "type: of the house"


@pytest.mark.parametrize("language", ["r", "julia", "scala"])
def test_what_is_written_as_arguments_is_read_as_declarations(language: str) -> None:
    arguments = {
        "text": "é'\"\\\n$x 🙂",
        "whole": 3,
        "large": 2**40,
        "number": -1.25,
        "yes": True,
        "nothing": None,
        "items": [1, 2.5, "a", [], None],
        "about": {"a b": {"c": [1]}},
    }
    found = {
        each.name: each.default
        for each in declared_in(assignments(arguments, language), language)
        if each.has_default
    }
    assert found == arguments


@pytest.mark.parametrize("language", ["javascript", "", "cobol"])
def test_of_other_languages_nothing_is_declared(language: str) -> None:
    cell = new_code_cell("x = 1", metadata={"tags": [TAG]})
    assert declared(new_notebook(cells=[cell]), language) == []


PIECES = st.sampled_from(
    ["x", " ", "=", "<-", "val ", "\"", "'", "\\", "\n", "(", ")", "[", "{", "}", "#", "#=", "/*", "//", "1", "c(", "list(",
     "Dict(", "Map(", "=>", "->", ",", ";", '"""', "`", ":", "::", "$", "u12"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(source=st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join))
def test_reading_never_fails(source: str) -> None:
    for language in ("r", "julia", "scala"):
        declared_in(source, language)


@pytest.mark.parametrize("language", ["r", "julia", "scala"])
@pytest.mark.parametrize(
    "piece",
    ["(", "/*", "#=", '"', "'", '"""', "`", "val a:T[;", "a::A{;", "x = [", "val a" + " " * 300, "x <- c(", "\\", "val x = Map(",
     "x = (", "x = -", "x = 1_", 'x = "', "x\n"],
)  # fmt: skip
def test_reading_takes_no_longer_for_sources_that_were_made_for_it(
    language: str, piece: str
) -> None:
    source = (piece * MAX_SOURCE)[:MAX_SOURCE]
    begin = time.process_time()
    declared_in(source, language)
    # A quadratic reader takes minutes.
    assert time.process_time() - begin < 3


@pytest.mark.parametrize(("begin", "piece", "end"), [("x <- ", "1", "a"), ("x <- 1.", "1", "a")])
def test_digits_that_are_no_number_are_read_once(begin: str, piece: str, end: str) -> None:
    source = begin + piece * (MAX_SOURCE - len(begin + end)) + end
    before = time.process_time()
    assert [each.has_default for each in declared_in(source, "r")] == [False]
    # Read anew from each digit they take a quarter of a minute.
    assert time.process_time() - before < 3


@pytest.mark.parametrize(
    ("reader", "begin"),
    [
        (RReader, '"'),
        (RReader, "'"),
        (JuliaReader, '"'),
        (JuliaReader, '"""'),
        (ScalaReader, '"'),
        (ScalaReader, '"""'),
        (PythonReader, '"'),
        (PythonReader, "'"),
        (PythonReader, '"""'),
        (PythonReader, "'''"),
    ],
)
@pytest.mark.parametrize("piece", [r"\"", r"\'", "a", "$"])
@pytest.mark.parametrize("end", ["", "\\"])
def test_a_text_that_does_not_end_is_passed_over_at_once(
    reader: type[SourceReader], begin: str, piece: str, end: str
) -> None:
    source = begin + piece * 1000 + end
    found = reader(source).take(reader.skipped)
    # A reader that gives it up looks for its end again from each quote in it.
    assert found is not None
    assert found[0] == source


@pytest.mark.parametrize("reader", [ScalaReader, PythonReader])
def test_a_text_of_one_line_ends_with_it(reader: type[SourceReader]) -> None:
    source = '"a\nb = "c"'
    found = reader(source).take(reader.skipped)
    assert found is not None
    assert found[0] == '"a'


@pytest.mark.parametrize(
    ("language", "line", "sign"),
    [
        ("python", "x = 1", "#"),
        ("r", "x <- 1", "#"),
        ("julia", "x = 1", "#"),
        ("scala", "val x = 1", "//"),
    ],
)
def test_of_a_cell_that_is_too_long_nothing_is_read(language: str, line: str, sign: str) -> None:
    source = f"{line}\n{sign}".ljust(MAX_SOURCE, "-")
    assert [each.default for each in declared_in(source, language)] == [1]
    assert declared_in(source + "-", language) == []
