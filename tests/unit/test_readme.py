"""README says what the program does: its table of commands and its make targets are checked."""

from __future__ import annotations

import re
from pathlib import Path

from freehold import cli

ROOT = Path(__file__).parents[2]
BEGIN, END = (
    "<!-- commands: begin (checked by tests/unit/test_readme.py) -->\n",
    "<!-- commands: end",
)


def command_table() -> str:
    """Return the table README must hold."""
    rows = [f"| `freehold {name}` | {summary} |" for name, summary in cli.COMMANDS.items()]
    return "\n".join(["| command | what it does |", "| --- | --- |", *rows]) + "\n"


def test_the_table_of_commands_is_the_programs_own() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    held = readme.partition(BEGIN)[2].partition(END)[0]
    assert held == command_table(), f"README.md must hold:\n{command_table()}"


def test_make_targets_named_in_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for document in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"):
        text = (ROOT / document).read_text("utf-8")
        named = set(re.findall(r"(?:`|^|=\w+ )make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, document


def test_links_between_documents_lead_somewhere() -> None:
    for document in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md"):
        text = (ROOT / document).read_text("utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (ROOT / target).exists(), f"{document}: {target}"
