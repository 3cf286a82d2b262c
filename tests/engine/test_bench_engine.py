"""`freehold bench engine` measures what it says, with a model of a few MB."""

from __future__ import annotations

import json

import pytest

from doubles.models import tiny_model
from freehold import cli

pytestmark = pytest.mark.engine


def test_bench_engine_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rounds", "1", "--tokens", "8", "--threads", "1", "--no-http", "--json"]
    status = cli.main(["bench", "engine", "--model", str(tiny_model()), *arguments])
    assert status == 0
    rows = json.loads(capsys.readouterr().out)["streams"]
    assert [row["streams"] for row in rows] == [1, 4, 16]
    for row in rows:
        assert row["bare"] > 0
        assert row["engine"] > 0
        assert row["http"] is None
        assert row["engine_share"] == pytest.approx(row["engine"] / row["bare"], abs=0.02)
