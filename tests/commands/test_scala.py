"""Arguments in Scala for real: many values in one program, since its compiler takes seconds to begin."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.commands.parameters import MAX_DEPTH, assignments, parsed_arguments

from .test_parameters import NASTY

SHOW = r"""
object Show {
  def apply(x: Any): String = x match {
    case null => "null"
    case s: String => "{\"text\":[" + s.map(_.toInt).mkString(",") + "]}"
    case d: Double => "{\"double\":\"" + java.lang.Double.toHexString(d) + "\"}"
    case list: List[_] => list.map(apply).mkString("[", ",", "]")
    case map: Map[_, _] => map.map { case (k, v) => "[" + apply(k) + "," + apply(v) + "]" }.mkString("{\"object\":[", ",", "]}")
    case other => other.toString
  }
}
"""

# What the oldest versions have no way to write.
CONTROLS = re.compile(r"[\0-\x07\x0b\x0e-\x1f\x7f]")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30).map(
    lambda text: CONTROLS.sub("", text)
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def expected(value: Any) -> Any:
    """A JSON value as the program shows it: texts by their UTF-16 units, objects as sorted pairs."""
    if isinstance(value, str):
        data = value.encode("utf-16-be")
        return {"text": [high << 8 | low for high, low in zip(data[::2], data[1::2], strict=True)]}
    if isinstance(value, float):
        return {"double": value}
    if isinstance(value, list):
        return [*map(expected, value)]
    if isinstance(value, dict):
        pairs = [[expected(key), expected(item)] for key, item in value.items()]
        return {"object": sorted(pairs, key=json.dumps)}
    return value


def exact(shown: Any) -> Any:
    """What the program has shown, in the same form."""
    if isinstance(shown, list):
        return [*map(exact, shown)]
    if not isinstance(shown, dict):
        return shown
    if "double" in shown:
        return {"double": float.fromhex(shown["double"])}
    return (
        {"object": sorted(exact(shown["object"]), key=json.dumps)} if "object" in shown else shown
    )


def holds(folder: Path, values: list[Any]) -> list[Any]:
    """What a program of Scala has of these values, each assigned as an argument."""
    program = shutil.which("scala")
    assert program, "Scala is missing: scripts/install installs it."
    parts = [SHOW]
    for number, value in enumerate(values):
        code = assignments(parsed_arguments(json.dumps({"x": value})), "scala")
        parts.append(f"object V{number} {{ {code} }}\nprintln(Show(V{number}.x))")
    script = folder / "values.scala"
    script.write_text("\n".join(parts), "ascii")
    done = subprocess.run(
        [program, "-nc", str(script)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return [exact(json.loads(line)) for line in done.stdout.splitlines()]


def nested(depth: int) -> Any:
    value: Any = 1
    for turn in range(depth):
        value = {"a": value} if turn % 2 else [value]
    return value


EDGES: list[Any] = [
    {text: [text] for text in NASTY if not CONTROLS.search(text)},
    [[], {}, [{}], {"a": []}],
    [2**31, -(2**31), 2**63, -(2**63), 2**80, -0.0, 5e-324, 1.7976931348623157e308, 1e22],
    ["x" * 70_000, "é\n" * 40_000],
    nested(MAX_DEPTH),
]


def some(count: int) -> list[Any]:
    """So many values: one program takes them all."""
    found: list[Any] = []

    @settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(value=VALUES)
    def gather(value: Any) -> None:
        found.append(value)

    gather()
    return found


@pytest.mark.timeout(360)
def test_any_json_value_arrives_in_scala_as_it_was_sent(tmp_path: Path) -> None:
    values = [*EDGES, *some(80)]
    for value, there in zip(values, holds(tmp_path, values), strict=True):
        assert there == expected(value), str(value)[:200]


@pytest.mark.parametrize("text", ["\x01", "\x7f"])
def test_a_control_character_is_refused_and_not_lost(text: str) -> None:
    with pytest.raises(Exception, match="control character"):
        assignments({"x": text}, "scala")
