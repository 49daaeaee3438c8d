"""The house is in order: paths, sizes, dependencies, and what the documents promise."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from ivhedge.app.cli import app
from ivhedge.core import errors

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.toml")],
)
VENDORED = "echarts.min.js"
MAX_LINES = 500

# Written so that this file does not hold what it looks for.
_MACHINE = re.compile(r"(?<![\w.])/(?:work|home|root|tmp|Users|mnt|opt|var)/|\b[A-Z]:\\\\")


def _mentions(path):
    text = path.read_text(encoding="utf-8")
    return [
        f"{path.relative_to(ROOT)}:{n}" for n, row in enumerate(text.splitlines(), 1) if _MACHINE.search(row)
    ]


@pytest.mark.parametrize("text", ["see /work/x", '"/tmp/y"', "C:\\\\Users"])
def test_the_search_for_machine_paths_finds_them(text):
    assert _MACHINE.search(text)
    assert not _MACHINE.search("../shared/data src/tmp/x")


def test_no_machine_paths():
    kinds = (".py", ".toml", ".css", ".js", ".md", ".sh", ".json", ".txt")
    folders = ("src", "docs", "examples", "benchmarks", "scripts", "requirements", "tools")
    files = [p for name in folders for p in (ROOT / name).rglob("*") if p.suffix in kinds]
    files += [*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    assert len(files) > 150
    assert [found for path in files if path.name != VENDORED for found in _mentions(path)] == []


def test_source_files_stay_short():
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert len(sizes) > 100
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}


def _imported():
    found = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            else:
                continue
            for name in names:
                found.setdefault(name.split(".")[0], path.relative_to(ROOT))
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


def test_the_base_dependencies_are_what_the_source_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[^\w-]", text, maxsplit=1)[0].lower() for text in project["dependencies"]}
    imported = _imported()
    imported.pop("ivhedge")
    # What an extra brings is imported where it is used, never by the base.
    for texts in project["optional-dependencies"].values():
        for text in texts:
            imported.pop(re.split(r"[^\w-]", text, maxsplit=1)[0].lower(), None)
    assert {name: path for name, path in imported.items() if name not in declared} == {}
    assert declared - set(imported) == set()


def test_the_make_targets_of_the_documents_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        target
        for path in DOCUMENTS
        for target in re.findall(r"(?:^|`)make ([a-z]+)\b", path.read_text(encoding="utf-8"), re.M)
    }
    assert {"demo", "test"} <= named
    assert named - targets == set()


def _command_lines():
    for block in re.findall(
        r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M
    ):
        for row in block.replace("\\\n", " ").splitlines():
            if row.startswith("ivhedge "):
                yield row.split("#")[0].split()[1:]


def test_the_command_lines_of_the_readme_are_understood():
    root = typer.main.get_command(app)
    seen = set()
    for words in _command_lines():
        command = root
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words[0]]
            words = words[1:]
        assert command is not root, words
        assert not hasattr(command, "commands"), words
        known = {option for item in command.params for option in item.opts}
        assert {word for word in words if word.startswith("-")} <= known
        seen.add(command.name)
        for word in words:
            if word.startswith("examples/"):
                assert (ROOT / word).is_file(), word
    assert {"demo", "fit", "risk", "plan", "backtest", "report", "ingest", "doctor"} <= seen


def test_relative_links_of_the_documents_lead_somewhere():
    dead = []
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if "://" not in target and not (path.parent / target).exists():
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert dead == []


def test_every_exit_code_is_documented():
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "docs" / "conventions.md").read_text(), re.M))
    codes = {getattr(errors, name).exit_code for name in errors.__all__}
    assert {str(code) for code in codes} | {"0", "2", "130"} == set(table)
