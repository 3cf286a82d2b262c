"""The first thing on the Costs page: what owning has brought so far."""

from __future__ import annotations

import datetime

import msgspec
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.amounts import levels_text, money
from freehold.ui.costs.controls import AmountRow, ShareBar
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.state.delay import Delay
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.cards import Card, KeyValue, rule
from freehold.ui.widgets.labels import prose, set_role, text_label
from freehold.wire_costs import CostsSettings, Payback

TYPING_MS = 500


class PaybackCard(Card):
    """The sentence, how much has come back, when it is paid off, and what that rests on."""

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.setAccessibleName("Payback so far")
        head = QHBoxLayout()
        head.addWidget(text_label("Payback so far", "muted"))
        head.addStretch(1)
        self.level = text_label("calculated", "chip")
        head.addWidget(self.level)
        self.body.addLayout(head)
        self.sentence = text_label("Reading the ledger…", "title", wrap=True)
        self.body.addWidget(self.sentence)
        self.bar = ShareBar("Share paid back")
        self.bar.hide()
        self.body.addWidget(self.bar)
        self.facts = KeyValue()
        self.facts.hide()
        self.body.addWidget(self.facts)
        self.body.addSpacing(SIZES["space-half"])
        self.body.addWidget(rule())
        self._add_controls(theme)
        self._save_soon = Delay(TYPING_MS, self._save, self)
        state.payback_changed.connect(self._show)
        state.month_changed.connect(self._show_level)
        state.settings_changed.connect(self._show_controls)
        state.prices_changed.connect(self._show_controls)

    def _add_controls(self, theme: Theme) -> None:
        self.capital = AmountRow(
            "What the machine cost you", 0, 60_000, 500, highest=1e9, prefix="$ "
        )
        self.capital.changed.connect(lambda: self._save_soon.start())
        self.elsewhere = ChoiceBox(theme, "Held against", lambda _value: self._save())
        self.elsewhere.setMinimumWidth(120)
        self.seats = AmountRow("How many subscriptions", 1, 50, 1, highest=100_000)
        self.seats.changed.connect(lambda: self._save_soon.start())
        row = QHBoxLayout()
        row.setSpacing(SIZES["space-3"])
        row.addWidget(self.capital, 1)
        against = QVBoxLayout()
        against.setSpacing(SIZES["space-half"])
        against.addWidget(text_label("Held against", "small"))
        against.addWidget(self.elsewhere)
        row.addLayout(against, 1)
        row.addWidget(self.seats, 1)
        self.body.addLayout(row)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self.body.addWidget(self.problem)

    def _show(self) -> None:
        found = self._state.payback
        if found is None:
            return
        self.sentence.setText(found.sentence)
        self.bar.setVisible(found.share is not None and found.tokens > 0)
        self.bar.show_share(float(found.share or 0))
        self.facts.setVisible(found.tokens > 0)
        for name, value in payback_facts(found).items():
            self.facts.set(name, value)
        self._show_level()

    def _show_level(self) -> None:
        summary = self._state.summary
        levels = summary.levels if summary is not None else ()
        text = f"calculated; energy {levels_text(levels)}" if levels else "calculated"
        self.level.setText(text)
        set_role(self.level, "role", "chip-warning" if "estimate" in levels else "chip")

    def _show_controls(self) -> None:
        settings, prices = self._state.settings, self._state.prices
        if settings is None:
            return
        if not self._save_soon.isActive():
            self.capital.set_amount(settings.capital)
            self.seats.set_amount(settings.seats)
        if prices is not None:
            open_models = [p for p in prices.apis if p.note]
            first = open_models[0].name if open_models else "an API"
            self.elsewhere.offer(
                [
                    ("", f"{first} over an API"),
                    *((p.name, p.name) for p in prices.subscriptions),
                    *((p.name, f"{p.name} over an API") for p in prices.apis),
                ]
            )
            self.elsewhere.show_value(settings.elsewhere)
            seats = any(p.name == settings.elsewhere for p in prices.subscriptions)
            self.seats.setVisible(seats)

    def _save(self) -> None:
        settings = self._state.settings or CostsSettings()
        chosen = self.elsewhere.currentData()
        wanted = msgspec.structs.replace(
            settings,
            capital=self.capital.amount,
            elsewhere=settings.elsewhere if chosen is None else str(chosen),
            seats=int(self.seats.amount),
        )
        self.problem.hide()
        self._state.run(self._state.save_settings(wanted), self._show_problem)

    def _show_problem(self, error: AppError) -> None:
        self.problem.setText(prose(error.sentence))
        self.problem.show()


def payback_facts(found: Payback) -> dict[str, str]:
    """Return the figures a payback rests on, in words."""
    saved = found.elsewhere - found.paid_energy
    date = "not yet known"
    if found.pays_off_on:
        date = f"{datetime.date.fromisoformat(found.pays_off_on):%d %B %Y}"
    elif found.share is not None and saved <= 0:
        date = "never at this rate"
    facts = {
        "Since": f"{found.since}, {found.tokens:,} tokens",
        "Elsewhere": f"{money(found.elsewhere)} for {found.elsewhere_name}",
        "Electricity paid": money(found.paid_energy)
        + (f" ({found.rate_note})" if found.rate_note else ""),
        "Saved so far": money(saved),
    }
    if found.capital > 0:
        facts["The machine"] = f"{money(found.capital, cents=False)}, paid off: {date}"
    else:
        facts["The machine"] = "enter what it cost to see when it is paid off"
    return facts
