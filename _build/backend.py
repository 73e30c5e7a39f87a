"""The build backend: setuptools, with the frontend built first (PEP 517 and 660).

Node.js is asked for only if the assets are out of date and PATH has none: then as a Python package.
"""

from __future__ import annotations

import shutil
from typing import Any

from setuptools import Distribution, build_meta
from setuptools.build_meta import (
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

import assets
import node

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Settings = dict[str, Any] | None


def _node_requirements() -> list[str]:
    if not assets.wanted() or node.from_path() is not None:
        return []
    return [node.WHEEL]


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What must be installed to build a wheel, beyond pyproject.toml's list."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_node_requirements()]


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    """What must be installed to build a source distribution, beyond pyproject.toml's list."""
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_node_requirements()]


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """What must be installed for an editable installation, beyond pyproject.toml's list."""
    return [*build_meta.get_requires_for_build_editable(config_settings), *_node_requirements()]


def _prepare() -> None:
    try:
        assets.build()
    except (assets.BuildFailed, node.NodeMissing) as failure:
        raise SystemExit(f"jupyter_dashboards_api: {failure}") from None
    # setuptools copies into build/lib without emptying it: an older build's hashed files would
    # get into the wheel beside the new ones.
    shutil.rmtree(assets.ROOT / "build" / "lib", ignore_errors=True)


def build_wheel(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the frontend, then the wheel; the wheel's file name."""
    _prepare()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """Build the frontend, then the source distribution; its file name."""
    _prepare()
    return build_meta.build_sdist(sdist_directory, config_settings)


def build_editable(
    wheel_directory: str,
    config_settings: Settings = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the frontend in place, then the editable wheel; the wheel's file name."""
    _prepare()
    # setuptools asks a distribution `has_data()` before it puts data_files into an editable wheel,
    # but the method is called `has_data_files`: the server would not find the extension.
    Distribution.has_data = Distribution.has_data_files
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
