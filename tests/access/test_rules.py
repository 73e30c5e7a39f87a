"""The access file: what it says, what happens while it is wrong, and that its changes count at once."""

from __future__ import annotations

import contextlib
import logging
import os
import string
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_dashboards_api.access.callers import NOBODY, Caller, Visit
from jupyter_dashboards_api.access.rules import AccessRules, Rules, parse_rules

Rule = str | frozenset[str]

OWNER = Caller("owner", "root")
KEY = Caller("key", "root", scopes=frozenset({"*"}))
ANN = Caller("viewer", "ann", groups=frozenset({"finance", "board"}))
BOB = Caller("viewer", "bob")
VISITOR = Caller("visitor", "visitor", visit=Visit("v", share="s"))


def allowed(rules: Rules, path: str) -> str:
    """Who may open a path, a letter each: visitors and nobody, bob, ann."""
    letters = {"n": NOBODY, "v": VISITOR, "b": BOB, "a": ANN}
    return "".join(letter for letter, caller in letters.items() if rules.allows(caller, path))


DOCUMENTED = parse_rules("""
    default = "nobody"

    [rules]
    "public"            = "public"
    "sales"             = "viewers"
    "sales/board.ipynb" = ["ann", "group:finance"]
    "sales/secret"      = "nobody"
    "sales/secret/for bob.ipynb" = ["bob"]
""")


@pytest.mark.parametrize(
    ("path", "who"),
    [
        ("", ""),
        ("elsewhere.ipynb", ""),
        ("public", "nvba"),
        ("public/deep/below/it.ipynb", "nvba"),
        ("publicity", ""),
        ("sales", "ba"),
        ("sales/a.ipynb", "ba"),
        ("salesX", ""),
        ("salesX/a.ipynb", ""),
        ("Sales/a.ipynb", ""),
        ("sales/board.ipynb", "a"),
        ("sales/board.ipynb/x", "a"),
        ("sales/board.ipynbX", "ba"),
        ("sales/secret/a.ipynb", ""),
        ("sales/secret/for bob.ipynb", "b"),
    ],
)
def test_the_longest_path_that_is_the_notebooks_or_a_folders_above_it_decides_alone(
    path: str, who: str
) -> None:
    assert allowed(DOCUMENTED, path) == who
    assert DOCUMENTED.is_public(path) == who.startswith("n")


@pytest.mark.parametrize("path", ["", "sales/secret/a.ipynb", "elsewhere.ipynb"])
def test_owners_and_keys_are_not_asked_for_here(path: str) -> None:
    assert DOCUMENTED.allows(OWNER, path)
    assert DOCUMENTED.allows(KEY, path)


@pytest.mark.parametrize(
    ("folder", "who"),
    [("", "nvba"), ("sales", "ba"), ("sales/secret", "b"), ("salesX", ""), ("publi", "")],
)
def test_a_folder_is_shown_to_whoever_may_open_something_below_it(folder: str, who: str) -> None:
    letters = {"n": NOBODY, "v": VISITOR, "b": BOB, "a": ANN}
    seen = [name for name, caller in letters.items() if DOCUMENTED.allows_below(caller, folder)]
    assert "".join(seen) == who


@pytest.mark.parametrize(
    ("rule", "path", "who"),
    [
        # As the address of its page has it.
        ("open/secret", "open/secret.ipynb", "b"),
        ("open/Secret", "open/secret.ipynb", "b"),
        # A disk may take them for one.
        ("open/secret", "open/SECRET/a.ipynb", "b"),
        ("OPEN/secret.ipynb", "open/secret.ipynb", "b"),
        ("open/straße", "open/STRASSE/a.ipynb", "b"),
        # The two ways to write é.
        ("open/caf\u00e9", "open/cafe\u0301/a.ipynb", "b"),
        ("open/cafe\u0301", "open/caf\u00e9/a.ipynb", "b"),
        ("open/secret", "open/secrets.ipynb", "nvba"),
        ("open/secret.ipynb", "open/secret/a.ipynb", "nvba"),
    ],
)
def test_a_rule_that_may_be_meant_keeps_people_out(rule: str, path: str, who: str) -> None:
    rules = parse_rules(f'[rules]\n"open" = "public"\n"{rule}" = ["bob"]')
    assert allowed(rules, path) == who
    assert rules.is_public(path) == who.startswith("n")


@pytest.mark.parametrize(
    ("rule", "path"),
    [("sales", "sales.ipynb"), ("sales", "Sales/a.ipynb"), ("Sales", "sales/a.ipynb")],
)
def test_a_rule_that_may_be_meant_lets_nobody_in(rule: str, path: str) -> None:
    rules = parse_rules(f'[rules]\n"{rule}" = "public"')
    assert allowed(rules, path) == ""
    assert not rules.is_public(path)


def test_a_rule_with_the_exact_path_decides_alone() -> None:
    rules = parse_rules("""
        [rules]
        "a" = "nobody"
        "A" = "public"
        "a.ipynb" = "viewers"
    """)
    assert [allowed(rules, path) for path in ("a/x", "A/x", "a.ipynb")] == ["", "nvba", "ba"]


def test_both_ways_to_write_a_letter_are_one_name() -> None:
    assert allowed(parse_rules('[rules]\n"caf\u00e9" = "public"'), "cafe\u0301/a.ipynb") == "nvba"
    with pytest.raises(ValueError, match="named twice"):
        parse_rules('[rules]\n"caf\u00e9" = "public"\n"cafe\u0301" = "nobody"')


def test_what_has_a_rule_of_its_own_is_separate_from_its_folder() -> None:
    assert DOCUMENTED.separates("sales/board.ipynb", "sales")
    assert DOCUMENTED.separates("sales/secret/data.csv", "sales")
    assert DOCUMENTED.separates("sales/Secret/data.csv", "sales")
    assert parse_rules('[rules]\n"a/b" = "nobody"').separates("a/b/c/d.csv", "a")
    assert not DOCUMENTED.separates("sales/data.csv", "sales")
    assert not DOCUMENTED.separates("elsewhere/a/data.csv", "elsewhere")


def test_groups_are_named_with_their_prefix() -> None:
    rules = parse_rules('default = ["group:finance", "sales"]')
    assert rules.allows(ANN, "a.ipynb")
    assert not rules.allows(Caller("viewer", "x", groups=frozenset({"sales"})), "a.ipynb")
    assert rules.allows(Caller("viewer", "sales"), "a.ipynb")


def test_a_name_does_not_pass_for_a_group() -> None:
    assert not parse_rules('default = ["group:finance"]').allows(
        Caller("viewer", "group:finance"), "a.ipynb"
    )


def test_the_root_has_a_rule_by_its_default_or_by_an_empty_path() -> None:
    assert parse_rules('default = "public"').is_public("a/b.ipynb")
    assert parse_rules('[rules]\n"/" = "public"').is_public("a/b.ipynb")
    assert not parse_rules('default = "public"\n[rules]\n"" = "viewers"').is_public("a/b.ipynb")


def test_slashes_at_the_ends_of_a_path_do_not_count() -> None:
    assert parse_rules('[rules]\n"/a/b/" = "public"').is_public("a/b/c.ipynb")


def test_an_empty_file_lets_nobody_in() -> None:
    assert parse_rules("") == Rules()
    assert not parse_rules("").allows(ANN, "a.ipynb")


def test_an_empty_list_lets_nobody_in() -> None:
    assert not parse_rules("default = []").allows(ANN, "a.ipynb")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("default = nobody", "not TOML"),
        ("[rules]\na = 'public'\na = 'public'", "not TOML"),
        ("default = " + "[" * 5000, "not TOML"),
        ("\ufeffdefault = 'nobody'", "not TOML"),
        ("defualt = 'public'", "'defualt' is neither"),
        ("[rule]\na = 'public'", "'rule' is neither"),
        ("rules = 'public'", "`rules` is no table"),
        ("default = 'everybody'", "default must be"),
        ("default = 'Public'", "default must be"),
        ("default = true", "default must be"),
        ("[rules]\na = 'viewer'", "rules.'a' must be"),
        ("[rules]\na = ['ann', 3]", "rules.'a' must be"),
        ("[rules]\na = ['ann', '']", "rules.'a' must be"),
        ("[rules]\na.ipynb = 'public'", "rules.'a' must be"),
        ("[rules.a]\nb = 'public'", "rules.'a' must be"),
        ("[rules]\n'a//b' = 'public'", "'a//b' is no contents path"),
        ("[rules]\n'../b' = 'public'", "'../b' is no contents path"),
        ("[rules]\n'a/./b' = 'public'", "'a/./b' is no contents path"),
        ("[rules]\na = 'public'\n'/a/' = 'nobody'", "'/a/' is named twice"),
    ],
)
def test_a_mistake_is_an_error_that_says_what_it_is(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_rules(text)
    assert complaint in str(caught.value)


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("[]{}=\"'.,\n rulesdft0#", max_size=40)))
def test_any_text_is_rules_or_a_mistake(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_rules(text), Rules)


paths = st.lists(st.sampled_from(["a", "ab", "b", "c.ipynb"]), max_size=4).map("/".join)
values = st.one_of(
    st.sampled_from(["public", "viewers", "nobody"]),
    st.frozensets(st.sampled_from(["ann", "bob", "group:finance", "group:bob"])),
)
callers = st.sampled_from([NOBODY, VISITOR, ANN, BOB, OWNER, KEY])


def includes(rule: Rule, caller: Caller) -> bool:
    if caller.kind in ("owner", "key") or rule == "public":
        return True
    names = {caller.name} | {f"group:{group}" for group in caller.groups}
    viewer = caller.kind == "viewer"
    return viewer and (rule == "viewers" or (isinstance(rule, frozenset) and bool(names & rule)))


def is_at_or_below(path: str, place: str) -> bool:
    parts, above = path.split("/"), place.split("/") if place else []
    return parts[: len(above)] == above


def deciding(default: Rule, by_path: Mapping[str, Rule], path: str) -> Rule:
    named = [place for place in by_path if is_at_or_below(path, place)]
    return by_path[max(named, key=len)] if named else default


@settings(deadline=None)
@given(values, st.dictionaries(paths, values, max_size=6), callers, paths)
def test_rules_do_what_a_plain_reading_of_them_says(
    default: Rule, by_path: dict[str, Rule], caller: Caller, path: str
) -> None:
    rules = Rules(default, by_path)
    rule = deciding(default, by_path, path)
    assert rules.allows(caller, path) == includes(rule, caller)
    assert rules.is_public(path) == (rule == "public")


@settings(deadline=None)
@given(values, st.dictionaries(paths, values, max_size=6), callers, paths)
def test_a_folder_is_shown_exactly_if_it_or_a_rule_below_it_lets_in(
    default: Rule, by_path: dict[str, Rule], caller: Caller, folder: str
) -> None:
    rules = Rules(default, by_path)
    below = [rule for place, rule in by_path.items() if is_at_or_below(place, folder)]
    expected = rules.allows(caller, folder) or any(includes(rule, caller) for rule in below)
    assert rules.allows_below(caller, folder) == expected


plain = st.text(string.ascii_letters + string.digits + " üß漢-_.", min_size=1, max_size=8).filter(
    lambda part: part not in (".", "..")
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.lists(plain, min_size=1, max_size=3).map("/".join),
        st.one_of(
            st.sampled_from(["public", "viewers", "nobody"]), st.lists(st.sampled_from(["a", "b"]))
        ),
    )
)
def test_a_file_says_what_was_written_into_it(written: dict[str, str | list[str]]) -> None:
    lines = [f"'{path}' = {rule!r}" for path, rule in written.items()]
    expected = {
        path: rule if isinstance(rule, str) else frozenset(rule) for path, rule in written.items()
    }
    assert parse_rules("\n".join(["[rules]", *lines])).by_path == expected


# The file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "access.toml"


@pytest.fixture
def access(file: Path) -> AccessRules:
    return AccessRules(file=str(file))


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_without_the_file_nobody_gets_in(access: AccessRules) -> None:
    assert access.read() == Rules()


def test_a_change_counts_without_a_restart(access: AccessRules, file: Path) -> None:
    file.write_text("default = 'public'")
    assert access.read().is_public("a.ipynb")
    # In place, of the same length, and within the same moment.
    for _ in range(20):
        file.write_text("default = 'nobody'")
        assert not access.read().is_public("a.ipynb")
        file.write_text("default = 'public'")
        assert access.read().is_public("a.ipynb")
    file.unlink()
    assert not access.read().is_public("a.ipynb")


def test_a_change_that_keeps_time_and_length_counts_while_the_file_is_new(
    access: AccessRules, file: Path
) -> None:
    file.write_text("default = ['ann']")
    # New for as long as this takes.
    soon = time.time_ns() + 60_000_000_000
    os.utime(file, ns=(soon, soon))
    found = file.stat()
    assert access.read().allows(ANN, "a.ipynb")
    file.write_text("default = ['bob']")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert not access.read().allows(ANN, "a.ipynb")


def test_a_file_that_has_not_changed_is_not_read_again(access: AccessRules, file: Path) -> None:
    file.write_text("default = 'public'")
    os.utime(file, (1, 1))
    first = access.read()
    assert access.read() is first


@pytest.mark.parametrize("mistake", [b"default = 'pubic'", b"\xff", b"#" * 5_000_000])
def test_a_mistake_lets_nobody_in_until_it_is_corrected(
    access: AccessRules, file: Path, caplog: pytest.LogCaptureFixture, mistake: bytes
) -> None:
    file.write_text("default = 'public'")
    assert access.read().is_public("a.ipynb")
    file.write_bytes(mistake)
    for _ in range(3):
        assert access.read() == Rules()
    assert len(complaints(caplog)) == 1
    assert "has a mistake, and lets nobody in" in complaints(caplog)[0]
    file.write_text("default = 'public'")
    assert access.read().is_public("a.ipynb")
    assert len(complaints(caplog)) == 1


def test_each_mistake_is_told_once(
    access: AccessRules, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("a = 1", "a = 1", "b = 1", "b = 1", "", "a = 1"):
        file.write_text(text)
        access.read()
    assert ["'a'" in text for text in complaints(caplog)] == [True, False, True]


def test_what_is_no_file_lets_nobody_in(
    access: AccessRules, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.mkdir()
    assert access.read() == Rules()
    assert len(complaints(caplog)) == 1


async def test_the_file_is_looked_at_once_a_second(access: AccessRules, file: Path) -> None:
    assert not (await access.current()).is_public("a.ipynb")
    file.write_text("default = 'public'")
    # A second later.
    access._looked_at -= 1
    assert (await access.current()).is_public("a.ipynb")


def test_the_file_is_in_jupyters_configuration_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    assert AccessRules().file == str(tmp_path / "dashboards_access.toml")
