"""The default database: each place that notebooks are in has a file of its own, and keeps it."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from traitlets.config import Config

from jupyter_dashboards_api.database.default_file import FIRST, NOTE, default_file
from jupyter_dashboards_api.database.engine import URL_VARIABLE, Database

LOG = logging.getLogger(__name__)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's data folder, which is made when it is needed."""
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("first", ["files /a", "files /a\n/b", "files /a\n", "files /\udce4", ""])
def test_the_first_place_has_the_file_of_the_tools_and_each_other_one_its_own(
    data: Path, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    places = [first, "files /other", "files /third", f"{first}\n", "files"]
    files = [default_file(data, place, LOG) for place in places]
    assert files[0] == default_file(data, None, LOG) == data / FIRST
    assert len(set(files)) == len(places)
    assert {file.parent for file in files} == {data}
    # Whichever is asked for first later.
    again = [default_file(data, place, LOG) for place in reversed(places)]
    assert again == files[::-1]
    # The first one's own has nothing to say.
    said = [record for record in caplog.records if record.name == LOG.name]
    assert len(said) == 2 * (len(places) - 1)


def test_the_log_says_which_file_it_is_and_how_the_tools_and_a_moved_place_get_theirs(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Database("files /a").close()
    assert "files /a" not in caplog.text
    database = Database("files /b")
    database.open()
    database.close()
    # Migrations may log what they do.
    (said,) = (each for each in caplog.messages if "files /b" in each)
    own = make_url(database.url).database
    assert own is not None
    assert Path(own).is_file()
    for each in ("'files /a'", "'files /b'", str(data / NOTE)):
        assert each in said
    assert f"--Database.url=sqlite:///{own}." in said
    assert f"--Database.url=sqlite:///{data / FIRST}," in said
    # As it says: the file is whose server starts next.
    (data / NOTE).unlink()
    assert default_file(data, "files /b", LOG) == data / FIRST


def test_of_those_who_start_at_once_one_is_the_first(data: Path) -> None:
    places = [f"files /{number}" for number in range(16)]
    with ThreadPoolExecutor(len(places)) as pool:
        files = list(pool.map(lambda place: default_file(data, place, LOG), places))
    assert len(set(files)) == len(places)
    assert (data / NOTE).read_text() == f"{places[files.index(data / FIRST)]}\n"


@pytest.mark.parametrize("written", ["", "files /som"])
def test_a_note_whose_writer_died_is_written_by_the_next_one(data: Path, written: str) -> None:
    data.mkdir()
    (data / NOTE).write_text(written)
    assert default_file(data, "files /a", LOG) == data / FIRST
    assert default_file(data, "files /b", LOG) != data / FIRST
    assert default_file(data, "files /a", LOG) == data / FIRST


def test_a_database_that_somebody_has_named_is_whose_it_is(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config({"Database": {"url": "sqlite:///configured.sqlite"}})
    for place in ("files /a", "files /b"):
        assert Database(place, config=config).url == "sqlite:///configured.sqlite"
        assert Database(place, url="sqlite:///given.sqlite").url == "sqlite:///given.sqlite"
    monkeypatch.setenv(URL_VARIABLE, "sqlite:///environment.sqlite")
    assert Database("files /a").url == "sqlite:///environment.sqlite"
    assert not data.exists()
