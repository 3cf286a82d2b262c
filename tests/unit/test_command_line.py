"""The command line's own words."""

from __future__ import annotations

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
