"""The command line's own words."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold import cli


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_help_keeps_names_as_they_are_written(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    summary = cli.COMMANDS[command]
    assert f"{summary[0].upper()}{summary[1:]}." in said


def test_a_reader_that_leaves_is_no_failure_of_ours(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "freehold", "models", "--json"],
        env={**os.environ, "FREEHOLD_DATA": str(tmp_path)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")
