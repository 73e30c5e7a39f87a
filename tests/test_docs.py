"""The reference is what the code says, and the guides name what exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from jupyter_dashboards_api.handlers.routes import ROUTES

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate_reference.py, which is a program and not a module of the package."""
    spec = importlib.util.spec_from_file_location(
        "generate_reference", DOCS / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_reference_is_what_the_code_says(generator: ModuleType) -> None:
    for path, text in generator.pages().items():
        assert path.read_text(encoding="utf-8") == text, "run scripts/docs"


def test_every_setting_has_a_help_text(generator: ModuleType) -> None:
    for cls in generator.own_classes():
        for name, trait in generator.settings(cls).items():
            assert trait.help, f"{cls.__name__}.{name}"


def test_every_setting_that_the_guides_name_exists(generator: ModuleType) -> None:
    known = {
        f"{cls.__name__}.{name}"
        for cls in generator.own_classes()
        for name in generator.settings(cls)
    }
    own = "|".join(cls.__name__ for cls in generator.own_classes())
    for page in (*DOCS.glob("*.md"), ROOT / "README.md"):
        named = set(re.findall(rf"\b(?:{own})\.\w+", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


def test_every_public_route_is_explained_to_programs() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    for route in ROUTES:
        if route.template.startswith("/static/"):
            continue
        path = re.sub(r"\[?/PATH\]?|/NAME", "", route.template)
        path = re.sub(r"{(?:kernel_)?(\w+)}", lambda match: match[1].upper(), path)
        assert route.summary
        assert path in page, route.template
