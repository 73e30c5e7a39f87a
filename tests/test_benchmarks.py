"""The benchmarks take too long to be run here; what they come to is written, whatever was measured."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Results, write


def test_results_are_written_whatever_was_measured(tmp_path: Path) -> None:
    text = write(Results(conditions={"CPUs": "2"}), tmp_path)
    assert tmp_path.joinpath("results.md").read_text() == text
    assert "| initial JavaScript of a dashboard page | ≤ 10 KB gzip |" in text
    assert "not measured" in text
    data = json.loads(tmp_path.joinpath("results.json").read_text())
    assert data["initial_script_gzip_bytes"] > 1024
