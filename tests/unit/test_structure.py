"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "app/freehold"
FILE_LINES = 400
FUNCTION_LINES = 60
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "manager", "misc", "base", "common"}
# Written in pieces, so that this file does not hold what it forbids.
REGISTRIES = (
    "pypi" + ".org", "python" + "hosted.org", "registry." + "npmjs.org", "deb.debian" + ".org",
    "archive.ubuntu" + ".com", "index-" + "url", "extra-index" + "-",
)  # fmt: skip
PRINTING = ("cli.py", "commands")


def sources() -> list[Path]:
    return sorted(APP.rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_files_stay_readable() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources()}
    long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > FILE_LINES}
    assert not long, f"over {FILE_LINES} lines: {long}"


def test_functions_stay_readable() -> None:
    long = {}
    for path in sources():
        for node in functions(ast.parse(path.read_text())):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = lines
    assert not long, f"over {FUNCTION_LINES} lines: {long}"


def test_modules_are_named_after_something() -> None:
    named = [*APP.rglob("*"), *(ROOT / "packaging").rglob("*")]
    assert not [str(path) for path in named if path.stem in EMPTY_NAMES]


def test_only_commands_print() -> None:
    """Commands print, and modules that are programs of their own, run as child processes."""
    prints = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        if path.relative_to(APP).parts[0] not in PRINTING
        and '__name__ == "__main__"' not in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not prints


def _imported(node: ast.AST) -> list[str]:
    """Return the full names an import statement brings, none for any other node."""
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return []


def test_view_models_know_no_widgets() -> None:
    """View-models are tested without a window and could serve another one."""
    offending = [
        str(path.relative_to(ROOT))
        for path in sorted((APP / "ui/state").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if any("QtWidgets" in name for name in _imported(node))
    ]
    assert not offending


def test_llama_cpp_is_imported_by_its_own_modules_alone() -> None:
    doors = ("llama.py", "llama_*.py", "measure.py", "quantize.py")
    strangers = [
        str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if any(name.partition(".")[0] == "llama_cpp" for name in _imported(node))
        if path.parent != APP / "engine" or not any(path.match(door) for door in doors)
    ]
    assert not strangers


def test_public_functions_say_what_they_do() -> None:
    """The first line of a docstring is a sentence; commands and packaging included."""
    silent = []
    for path in sources():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and not node.name.startswith("_")
                and node.name not in {"add_arguments", "run"}
                and ast.get_docstring(node) is None
            ):
                silent.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
    assert not silent


def test_no_file_names_a_package_registry() -> None:
    named = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        named += [f"{path.relative_to(ROOT)}: {word}" for word in REGISTRIES if word in text]
    # uv's own option that leaves the address out of the compiled files is named in the Makefile.
    allowed = {f"Makefile: {'index-' + 'url'}"}
    assert set(named) <= allowed


@pytest.mark.parametrize("name", ["runtime", "dev", "build", "native", "cuda12", "cuda13"])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    text = (ROOT / f"packaging/requirements/{name}.txt").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    assert not [line for line in lines if "==" not in line or "--hash=sha256:" not in line]
