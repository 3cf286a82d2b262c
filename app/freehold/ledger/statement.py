"""A month's statement as CSV and as PDF: what was used, by whom, and what it cost."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from freehold.ledger.charges import Charge
from freehold.ledger.entries import IdleEntry, RequestEntry
from freehold.ledger.summary import ChargeRow, Row, Summary
from freehold.paths import resources

MICROJOULES_PER_KWH = Decimal(3_600_000_000_000)
REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
LEVEL_WORDS = {
    "wall": "measured at the wall",
    "calculated": "calculated for the whole machine from GPU, processor and a calibration",
    "gpu+cpu": "measured at GPU and processor; fans, disks and power supply are not in it",
    "gpu": "measured at the GPU alone; the rest of the machine is not in it",
    "estimate": "estimated, ± 50 %",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says. `levels`: every meter level that occurs in the month."""

    title: str
    period: str
    currency: str
    locale: str
    levels: tuple[str, ...]
    by_person: Summary
    by_model: Summary
    by_day: Summary
    carbon_kg_per_kwh: Decimal | None = None
    carbon_source: str = ""
    note: str = ""


CHARGE_WORDS = {
    "tier": "tier",
    "fixed": "standing charge",
    "demand": "demand charge",
    "tax": "tax",
}
CSV_COLUMNS = (
    "ended_at", "kind", "person", "key", "model", "prompt_tokens", "cached_tokens",
    "completion_tokens", "duration_s", "energy_joules", "meter", "tariff", "price_per_kwh", "money",
    "tax_in_money", "currency",
)  # fmt: skip


def write_csv(
    requests: Sequence[RequestEntry], idle: Sequence[IdleEntry], charges: Sequence[Charge] = ()
) -> str:
    """Return every line of the ledger as CSV, money and energy unrounded, in order of time.

    The charges of the bill come last; the money of all rows is the month's total.
    """
    rows: list[tuple[float, tuple[object, ...]]] = [
        (
            e.ended_at,
            (
                e.ended_at, "request", _safe(e.person), _safe(e.key_name), _safe(e.model_ref),
                e.prompt_tokens, e.cached_tokens, e.completion_tokens, e.duration_s,
                _joules(e.microjoules), e.level, _safe(e.tariff), e.price_per_kwh, e.money,
                e.tax, e.currency,
            ),
        )
        for e in requests
    ]  # fmt: skip
    rows += [
        (
            e.end_at,
            (
                e.end_at, "standby", "", "", _safe(e.loaded), 0, 0, 0,
                round(e.end_at - e.start_at, 3), _joules(e.microjoules), e.level, _safe(e.tariff),
                e.price_per_kwh, e.money, e.tax, e.currency,
            ),
        )
        for e in idle
    ]  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(row for _, row in sorted(rows, key=lambda item: item[0]))
    for charge in charges:
        money = charge.money + charge.tax
        words = (CHARGE_WORDS[charge.kind], "", "", charge.name, 0, 0, 0, 0, 0, "", "", "")
        writer.writerow(("", *words, money, charge.tax, charge.currency))
    return out.getvalue()


def _safe(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _joules(microjoules: int) -> Decimal:
    return Decimal(microjoules) / 1_000_000


def write_pdf(statement: Statement) -> bytes:
    """Return the statement as a PDF of A4 pages."""
    _register_fonts()
    styles = getSampleStyleSheet()
    for name in ("Normal", "Title", "Heading2", "Heading3"):
        styles[name].fontName = BOLD if name != "Normal" else REGULAR
    small = ParagraphStyle("small", parent=styles["Normal"], fontSize=8, textColor=colors.grey)
    total = statement.by_person.total
    kwh = total.microjoules / MICROJOULES_PER_KWH
    parts: list[Any] = [
        Paragraph(escape(statement.title), styles["Title"]),
        Paragraph(escape(statement.period), styles["Heading3"]),
        Paragraph(
            f"{_money(statement, total.money)} for "
            f"{_decimal(statement, kwh, '#,##0.000')} kWh and "
            f"{_decimal(statement, Decimal(total.completion_tokens), '#,##0')} tokens written in "
            f"{_decimal(statement, Decimal(total.requests), '#,##0')} requests.",
            styles["Normal"],
        ),
        Spacer(1, 4 * mm),
    ]
    for heading, summary in (
        ("By person", statement.by_person),
        ("By model", statement.by_model),
        ("By day", statement.by_day),
    ):
        parts += [Paragraph(heading, styles["Heading2"]), _table(statement, summary)]
    parts += [Spacer(1, 4 * mm), *(Paragraph(escape(n), small) for n in _notes(statement, kwh))]
    out = io.BytesIO()
    document = SimpleDocTemplate(
        out, pagesize=A4, title=statement.title, author="Freehold", leftMargin=18 * mm,
        rightMargin=18 * mm, topMargin=16 * mm, bottomMargin=16 * mm,
    )  # fmt: skip
    document.build(parts)
    return out.getvalue()


def _register_fonts() -> None:
    # PDF's built-in fonts know no Cyrillic; the bundled ones know every name we are likely to see.
    folder = resources() / "fonts"
    pdfmetrics.registerFont(TTFont(REGULAR, str(folder / "DejaVuSans.ttf")))
    pdfmetrics.registerFont(TTFont(BOLD, str(folder / "DejaVuSans-Bold.ttf")))


def _notes(statement: Statement, kwh: Decimal) -> list[str]:
    notes = [f"Energy: {LEVEL_WORDS.get(level, level)}." for level in statement.levels]
    if statement.carbon_kg_per_kwh is not None:
        mass = _decimal(statement, kwh * statement.carbon_kg_per_kwh, "#,##0.0")
        notes.append(
            f"CO2: about {mass} kg, calculated with {statement.carbon_kg_per_kwh} kg per kWh "
            f"({statement.carbon_source})."
        )
    if statement.note:
        notes.append(statement.note)
    notes.append("Each table adds up to the same total; cents are shared by largest remainder.")
    return notes


def _table(statement: Statement, summary: Summary) -> Table:
    head = ["", "Requests", "Read", "Cached", "Written", "kWh", statement.currency]
    lines = [_line(statement, row) for row in summary.rows]
    lines += [_charge_line(statement, charge) for charge in summary.charges]
    lines.append(_line(statement, summary.total))
    table = Table([head, *lines], repeatRows=1, colWidths=[52 * mm, *[20 * mm] * 6])
    table.setStyle(
        TableStyle(
            [
                ("FONTNAME", (0, 0), (-1, -1), REGULAR),
                ("FONTSIZE", (0, 0), (-1, -1), 8),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.5, colors.grey),
                ("LINEABOVE", (0, -1), (-1, -1), 0.5, colors.grey),
                ("FONTNAME", (0, -1), (-1, -1), BOLD),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                # A charge has a long name and no counts.
                *(("SPAN", (0, row), (5, row)) for row in range(len(summary.rows) + 1, len(lines))),
            ]
        )
    )
    return table


def _line(statement: Statement, row: Row) -> list[Any]:
    counts = (row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens)
    name = row.name if len(row.name) <= 34 else f"{row.name[:33]}…"
    return [
        name,
        *(_decimal(statement, Decimal(count), "#,##0") for count in counts),
        _decimal(statement, row.microjoules / MICROJOULES_PER_KWH, "#,##0.000"),
        _decimal(statement, row.money, "#,##0.00"),
    ]


def _charge_line(statement: Statement, charge: ChargeRow) -> list[Any]:
    """Return a charge's row; its long name runs over the empty cells beside it."""
    return [charge.name, *[""] * 5, _decimal(statement, charge.money, "#,##0.00")]


def _money(statement: Statement, amount: Decimal) -> str:
    return str(format_currency(amount, statement.currency, locale=statement.locale))


def _decimal(statement: Statement, value: Decimal, pattern: str) -> str:
    return str(format_decimal(value, pattern, locale=statement.locale))


def month_name(year: int, month: int, locale: str) -> str:
    """Return a month as the locale writes it, `November 2026`."""
    return str(format_date(datetime.date(year, month, 1), "LLLL yyyy", locale=locale))
