"""The extension's own settings."""

from __future__ import annotations

import pytest
from traitlets import TraitError

from jupyter_dashboards_api.app import DashboardsApp


@pytest.mark.parametrize(
    "source", ["['http://a.example']", "https://a; script-src *", "a,b", "https://a b", "'self", ""]
)
def test_a_source_that_would_change_the_policy_is_refused(source: str) -> None:
    with pytest.raises(TraitError, match="one at a time"):
        DashboardsApp(frame_ancestors=[source])
    with pytest.raises(TraitError, match="one at a time"):
        DashboardsApp(csp_sources={"img-src": [source]})


def test_sources_and_directives_of_a_policy_are_taken() -> None:
    sources = ["'self'", "https://*.example.org:8443", "https:", "'sha256-AbC+/='"]
    app = DashboardsApp(frame_ancestors=sources, csp_sources={"img-src": sources})
    assert app.frame_ancestors == sources
    with pytest.raises(TraitError, match="no directive"):
        DashboardsApp(csp_sources={"img-src x": sources})
