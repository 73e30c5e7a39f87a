"""Where it is measured: Voila's virtual environment, the kernel that all servers share, the machine's state."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

VOILA_VERSION = "0.5.13"
KERNEL_NAME = "benchmark"
SHARED = (
    "ipykernel",
    "ipywidgets",
    "jupyter_client",
    "jupyter_server",
    "matplotlib",
    "numpy",
    "pandas",
    "tornado",
)
"""Installed beside Voila in the versions that the running Python has."""


def cache_folder() -> Path:
    """Where Voila's environment is kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jupyter_dashboards_api" / "benchmarks"


def voila_python(cache: Path) -> Path:
    """The Python of an environment that has Voila, installed from the package index if need be."""
    wanted = [f"voila=={VOILA_VERSION}", *(f"{name}=={version(name)}" for name in SHARED)]
    key = hashlib.sha256(" ".join([sys.version, *wanted]).encode()).hexdigest()[:12]
    folder = cache / f"voila-{VOILA_VERSION}-{key}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        print(f"Installing Voila {VOILA_VERSION} into its own environment (once)")
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*command, *wanted], check=True, timeout=900)
        (folder / "complete").touch()
    return python


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder that is gone afterwards.

    `environment` is that of all servers, and keeps them out of the user's own Jupyter folders.
    """

    folder: Path
    notebooks: Path
    voila: Path
    environment: dict[str, str]


@contextmanager
def workplace(cache: Path) -> Iterator[Workplace]:
    """Prepare all that servers need; also sets this process's environment for nbclient."""
    python = voila_python(cache)
    with tempfile.TemporaryDirectory(prefix="dashboards-benchmark-") as name:
        folder = Path(name)
        notebooks = folder / "notebooks"
        notebooks.mkdir()
        spec = folder / "data" / "kernels" / KERNEL_NAME
        spec.mkdir(parents=True)
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.joinpath("kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": "Benchmark", "language": "python"})
        )
        own = {
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
            # Kept: matplotlib's list of fonts takes seconds to make.
            "MPLCONFIGDIR": str(cache / "matplotlib"),
        }
        os.environ.update(own)
        yield Workplace(folder, notebooks, python, {**os.environ, **own})


def conditions(chromium_version: str) -> dict[str, str]:
    """Versions, date and the machine's load before anything is measured."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    versions = {name: version(name) for name in ("jupyter_dashboards_api", *SHARED)}
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "system": f"{platform.system()} {platform.machine()}",
        "CPUs": str(len(os.sched_getaffinity(0))),
        "load average at start (1, 5, 15 min)": load,
        "Python": platform.python_version(),
        "voila": VOILA_VERSION,
        "chromium": chromium_version,
        **versions,
    }
