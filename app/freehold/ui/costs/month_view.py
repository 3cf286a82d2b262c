"""This month: the ledger by person, model or day, and its statement as a file."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from freehold.client.costs import Form
from freehold.ui.costs.amounts import energy, levels_text, money
from freehold.ui.costs.controls import Choices
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import set_role, text_label
from freehold.wire_costs import ChargeLine, CostRow, CostSummary

COLUMNS = ("", "Requests", "Read", "Cached", "Written", "Energy", "Money")
ROW_HEIGHT = 36
# How the ledger calls those who have no name of their own.
NAMES = {
    "standby": "Standby",
    "total": "Total",
    "owner": "You",
    "window": "You, in Chats",
    "api": "Other programs",
}
SHARINGS = (
    ("own line", "a line of its own"),
    ("by seat", "shared equally"),
    ("by use", "shared by use"),
)


class MonthView(QWidget):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self.by = Choices("By", (("person", "By person"), ("model", "By model"), ("day", "By day")))
        self.by.chosen.connect(lambda by: state.show_month(state.month, by))
        self.earlier = icon_button(theme, "chevron-left", "Month before", lambda: self._go(-1))
        self.later = icon_button(theme, "chevron-right", "Month after", lambda: self._go(1))
        self.name = text_label("", "section")
        self.table = _table()
        self.empty = text_label("", "muted", wrap=True)
        self.notes = text_label("", "small", wrap=True)
        self.level = text_label("", "chip")
        self.standby = ChoiceBox(theme, "Standby is", self._share_standby)
        self.standby.setMinimumWidth(150)
        self.standby.offer(SHARINGS)
        self.csv = push_button(theme, "Save as CSV…", lambda: self._export("csv"), icon="download")
        self.pdf = push_button(theme, "Save as PDF…", lambda: self._export("pdf"), icon="file")
        self._lay_out()
        state.month_changed.connect(self._show)
        state.settings_changed.connect(self._show_standby)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        head = QHBoxLayout()
        head.addWidget(self.earlier)
        head.addWidget(self.name)
        head.addWidget(self.later)
        head.addSpacing(SIZES["space-2"])
        head.addWidget(self.by, 1)
        column.addLayout(head)
        card = Card()
        card.body.addWidget(self.table)
        card.body.addWidget(self.empty)
        card.body.addWidget(self.notes)
        foot = QHBoxLayout()
        foot.addWidget(self.level, 0, Qt.AlignmentFlag.AlignVCenter)
        foot.addStretch(1)
        self.standby_name = text_label("Standby is", "small")
        foot.addWidget(self.standby_name)
        foot.addWidget(self.standby)
        card.body.addLayout(foot)
        column.addWidget(card)
        buttons = QHBoxLayout()
        buttons.addWidget(self.csv)
        buttons.addWidget(self.pdf)
        buttons.addStretch(1)
        column.addLayout(buttons)

    def _show(self) -> None:
        found = self._state.summary
        if found is None:
            return
        self.name.setText(month_text(found.month))
        self.later.setEnabled(found.month < f"{datetime.date.today():%Y-%m}")
        self.by.choose(found.by if found.by in self.by.buttons else "person")
        has_rows = bool(found.rows)
        self.table.setVisible(has_rows)
        self.empty.setVisible(not has_rows)
        for part in (self.level, self.standby_name, self.standby):
            part.setVisible(has_rows)
        for button in (self.csv, self.pdf):
            button.setEnabled(has_rows)
        self.empty.setText(
            f"Nothing was used in {month_text(found.month)}. Every answer adds a line here, with"
            " its tokens, its energy and what it cost."
        )
        estimated = "estimate" in found.levels
        unpriced = has_rows and found.total.money == 0
        self.level.setText(
            f"energy: {levels_text(found.levels)}"
            + ("; no price per kWh is set, see Tariff and meters" if unpriced else "")
        )
        set_role(self.level, "role", "chip-warning" if estimated or unpriced else "chip")
        notes = [text for text in (carbon_sentence(found), found.note) if text]
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(has_rows and bool(notes))
        self._fill(found)

    def _fill(self, found: CostSummary) -> None:
        rows = [row_texts(row, found.currency) for row in found.rows]
        rows += [charge_texts(charge, found.currency) for charge in found.charges]
        rows.append(row_texts(found.total, found.currency))
        self.table.clearSpans()
        self.table.setRowCount(len(rows))
        for at, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                right = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
                item.setTextAlignment(right | Qt.AlignmentFlag.AlignVCenter)
                item.setFont(self._theme.font("body", bold=at == len(rows) - 1))
                self.table.setItem(at, column, item)
        for at in range(len(found.rows), len(rows) - 1):
            # A charge has a long name and no counts.
            self.table.setSpan(at, 0, 1, len(COLUMNS) - 1)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(header + ROW_HEIGHT * len(rows) + 4)

    def _show_standby(self) -> None:
        if self._state.settings is not None:
            self.standby.show_value(self._state.settings.standby)

    def _share_standby(self, value: str) -> None:
        if self._state.settings is not None:
            wanted = msgspec.structs.replace(self._state.settings, standby=value)
            self._state.run(self._state.save_settings(wanted))

    def _go(self, months: int) -> None:
        found = self._state.summary
        if found is not None:
            self._state.show_month(month_beside(found.month, months), found.by)  # type: ignore[arg-type]

    def _export(self, form: Form) -> None:
        found = self._state.summary
        if found is None:
            return
        name = f"freehold-{found.month}.{form}"
        path, _ = QFileDialog.getSaveFileName(self, "Save the statement", name)
        if path:
            self.save_statement(Path(path), form)

    def save_statement(self, path: Path, form: Form) -> None:
        """Write the shown month's statement to a file of the person's choice."""
        self._state.run(self._save(path, form))

    async def _save(self, path: Path, form: Form) -> None:
        await self._state.save_statement(path, form)
        self.said.emit(f"Saved as {path.name}.")


def _table() -> QTableWidget:
    table = QTableWidget(0, len(COLUMNS))
    table.setProperty("figures", True)
    table.setAccessibleName("The month's figures")
    table.setHorizontalHeaderLabels(list(COLUMNS))
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    header.setHighlightSections(False)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
    table.setShowGrid(False)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    table.setTabKeyNavigation(False)
    return table


def row_texts(row: CostRow, currency: str) -> tuple[str, ...]:
    """Return a row's cells."""
    counts = (row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens)
    return (
        NAMES.get(row.name, row.name),
        *(f"{count:,}" if count else "–" for count in counts),
        energy(row.energy_joules),
        money(row.money, currency),
    )


def charge_texts(charge: ChargeLine, currency: str) -> tuple[str, ...]:
    """Return a charge's cells."""
    blank = [""] * (len(COLUMNS) - 2)
    return (charge.name, *blank, money(charge.money, currency))


def carbon_sentence(found: CostSummary) -> str:
    """Return what the month's electricity stands for, "" where no country is chosen."""
    if found.carbon_kg is None:
        return ""
    return f"About {found.carbon_kg:,.1f} kg CO2, calculated ({found.carbon_source})."


def month_text(month: str) -> str:
    """Return a month in words, `November 2026`."""
    return f"{datetime.date.fromisoformat(f'{month}-01'):%B %Y}"


def month_beside(month: str, months: int) -> str:
    """Return the month so many months later, or earlier."""
    year, number = (int(part) for part in month.split("-"))
    count = year * 12 + number - 1 + months
    return f"{count // 12:04}-{count % 12 + 1:02}"
