"""`freehold cost summary` and `freehold power` as scripts call them, with and without a server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from doubles.ledger_month import month_of_lines, write_lines
from freehold.paths import Paths
from freehold.server.schemas import SCHEMAS
from freehold.storage.connection import Database

pytestmark = pytest.mark.e2e


def freehold(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "freehold", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "FREEHOLD_DATA": str(folder)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    paths = Paths(tmp_path / "data", tmp_path / "state", tmp_path / "cache", tmp_path / "config")
    paths.create()
    database = Database.open(paths, SCHEMAS)
    try:
        asyncio.run(write_lines(database, *month_of_lines()))
    finally:
        database.close()
    return tmp_path


def test_a_month_is_summed_without_a_server(folder: Path) -> None:
    for by in ("person", "model", "day"):
        done = freehold(folder, "cost", "summary", "--month", "2026-11", "--by", by, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        document = json.loads(done.stdout)
        assert (document["month"], document["by"]) == ("2026-11", by)
        cents = [round(float(row["money"]) * 100) for row in document["rows"]]
        assert sum(cents) == round(float(document["total"]["money"]) * 100) > 0
        assert (document["charges"], document["carbon_kg"]) == ([], None)
        assert document["total"]["requests"] == len(month_of_lines()[0])
    table = freehold(folder, "cost", "summary", "--month", "2026-11")
    assert table.returncode == 0
    assert "Ada" in table.stdout
    assert table.stdout.splitlines()[-1].startswith("total")


def test_a_wrong_month_is_one_sentence_and_status_1(folder: Path) -> None:
    done = freehold(folder, "cost", "summary", "--month", "November")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("freehold: 'November' is not a month.")


def test_power_prints_one_document_a_second(tmp_path: Path) -> None:
    done = freehold(tmp_path, "power", "--seconds", "2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    readings = [json.loads(text) for text in done.stdout.splitlines()]
    assert len(readings) == 2
    for reading in readings:
        assert reading["level"] in ("wall", "calculated", "gpu+cpu", "gpu", "estimate")
        assert reading["parts"]
        assert reading["watts"] is None or reading["watts"] > 0
    assert freehold(tmp_path, "power", "--seconds", "0").returncode == 2


def test_co2_is_printed_with_its_country_and_date(folder: Path) -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "costs.toml").write_text('country = "France"\n')
    found = freehold(folder, "cost", "summary", "--month", "2026-11")
    assert (found.returncode, found.stderr) == (0, "")
    assert "kg CO2, calculated (France, 0.052 kg per kWh" in found.stdout


def test_trials_need_a_server_and_say_so(tmp_path: Path) -> None:
    done = freehold(tmp_path, "power", "calibrate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No server is running" in done.stderr
    assert "freehold serve" in done.stderr
