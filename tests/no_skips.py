"""A pytest plugin: where CI=true, a skipped test is a failure.

On CI everything that a test could miss (a browser, Node.js, a package) has been installed, so a skip
means that something went untested without anyone seeing it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

_SKIPPED_MODULES = "skipped_modules"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # A skip's representation is (file, line, reason).
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


class NoSkips:
    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.modules: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(f"{report.nodeid}: {_reason(report)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            line = f"{report.nodeid}: {_reason(report)}"
            self.skipped.append(line)
            self.modules.append(line)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A process of pytest-xdist's has ended: it alone knows what was skipped while it collected."""
        self.skipped += getattr(node, "workeroutput", {}).get(_SKIPPED_MODULES, [])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_SKIPPED_MODULES] = self.modules
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which CI=true forbids", red=True)
            for line in dict.fromkeys(self.skipped):
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI", "").lower() in ("true", "1"):
        config.pluginmanager.register(NoSkips(), "no-skips")
