"""How Sphinx builds this documentation."""

from __future__ import annotations

import jupyter_dashboards_api

project = "jupyter_dashboards_api"
author = "jupyter_dashboards_api contributors"
project_copyright = f"2026, {author}"
version = release = jupyter_dashboards_api.__version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
html_show_sphinx = False
