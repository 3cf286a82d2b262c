"""Exports: every line in the CSV, and a PDF whose tables add up."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest

from freehold.ledger.entries import IdleEntry, RequestEntry, energy_money
from freehold.ledger.statement import CSV_COLUMNS, Statement, month_name, write_csv, write_pdf
from freehold.ledger.summary import summarise

PRICE = Decimal("0.30")


def request(number: int, person: str = "Ada") -> RequestEntry:
    joules = 1_000_000_007 * (number + 1)
    return RequestEntry(
        f"r{number}", 1_800_000_000.0 + number, person, "window", "kimi-k2", 100, 10, 50, 2.0,
        joules, "gpu", "flat", PRICE, energy_money(joules, PRICE),
    )  # fmt: skip


def idle() -> IdleEntry:
    return IdleEntry(
        1_800_000_000.0, 1_800_003_600.0, 4 * 10**11, "gpu", "flat", PRICE,
        energy_money(4 * 10**11, PRICE), "kimi-k2",
    )  # fmt: skip


def test_csv_has_every_line_and_loses_nothing() -> None:
    requests = [request(n) for n in range(3)]
    rows = list(csv.DictReader(io.StringIO(write_csv(requests, [idle()]))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["kind"] for row in rows] == ["request", "request", "request", "standby"]
    exact = sum((e.money for e in requests), idle().money)
    assert sum(Decimal(row["money"]) for row in rows) == exact
    joules = sum(Decimal(row["energy_joules"]) for row in rows)
    assert joules * 1_000_000 == sum(e.microjoules for e in requests) + idle().microjoules


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", "\tx"])
def test_a_name_is_never_a_formula(name: str) -> None:
    text = write_csv([request(0, name)], [])
    row = next(csv.DictReader(io.StringIO(text)))
    assert row["person"] == f"'{name}"


@pytest.mark.parametrize("locale", ["en_US", "de_DE", "ru_RU"])
def test_the_pdf_is_one(locale: str) -> None:
    requests = [request(n, f"<b>person & {n % 3}") for n in range(200)]
    by = {
        kind: summarise(requests, [idle()], kind, zone="Europe/Berlin")
        for kind in ("person", "model", "day")
    }
    pdf = write_pdf(
        Statement(
            "Freehold statement", month_name(2027, 1, locale), "EUR", locale, ("gpu", "estimate"),
            by["person"], by["model"], by["day"], Decimal("0.38"), "a source",
        )
    )  # fmt: skip
    assert pdf.startswith(b"%PDF-")
    assert b"%%EOF" in pdf[-32:]
    assert len(pdf) > 2000


def test_an_empty_month_has_a_statement_too() -> None:
    nothing = summarise([], [], "person")
    pdf = write_pdf(Statement("Freehold", "June", "USD", "en_US", (), nothing, nothing, nothing))
    assert pdf.startswith(b"%PDF-")


def test_month_names_follow_the_locale() -> None:
    assert month_name(2026, 11, "en_US") == "November 2026"
    assert month_name(2026, 11, "de_DE") == "November 2026"
    assert "2026" in month_name(2026, 11, "ru_RU")
