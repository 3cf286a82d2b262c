"""`freehold show` of a model on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doubles.models import tiny_embedder, tiny_model
from freehold.cli import main


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_DATA", str(tmp_path))


def test_a_file_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tiny_model())]) == 0
    shown = capsys.readouterr().out
    assert "8 of 384 experts per token" in shown
    assert "52 tensors in 1 file:" in shown


def test_tensors_are_listed_and_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tiny_model()), "--tensors", "--filter", "exps BLK.1."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[-1].startswith("3 tensors, 1.33 MB")
    assert main(["show", str(tiny_model()), "--tensors", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 52
    assert {"name", "type", "shape", "bytes", "layer", "piece", "file"} == set(rows[0])


def test_template_and_metadata(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(tiny_model()), "--template"]) == 0
    assert "im_user" in capsys.readouterr().out
    assert main(["show", str(tiny_model()), "--metadata"]) == 0
    assert "deepseek2.expert_count  384" in capsys.readouterr().out
    assert main(["show", str(tiny_embedder()), "--template"]) == 1
    assert "no chat template" in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["show", str(tmp_path / "no.gguf")]) == 1
    assert "There is no file at" in capsys.readouterr().err
    assert main(["show", "nobody", "--tensors"]) == 1
    assert "no model called nobody on this machine" in capsys.readouterr().err
