"""Own or rent: a machine, a team and a price, and at once every figure that follows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.amounts import money
from freehold.ui.costs.controls import AmountRow, Tone, VerdictCard
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, KeyValue, section_title
from freehold.ui.widgets.labels import prose, set_role, text_label
from freehold.units import format_count
from freehold.wire_costs import ApiMonth, BookValue, OwnOrRent, OwnOrRentAnswer, Priced

# Chats read what was said before again and again: assumed until the ledger knows better.
ASSUMED_READ, ASSUMED_CACHED = 3, 50
ENOUGH_TOKENS = 10_000
TONES: dict[str, Tone] = {"pays": "good", "pays late": "bad", "never": "bad"}


def _rows() -> dict[str, AmountRow]:
    return {
        "hardware": AmountRow("Hardware", 0, 100_000, 500, highest=1e9, prefix="$ "),
        "host": AmountRow("Host around it", 0, 50_000, 500, highest=1e9, prefix="$ "),
        "energy": AmountRow(
            "Electricity a month", 0, 1000, 1, highest=1e6, prefix="$ ", decimals=2
        ),
        "seat": AmountRow("A seat a month", 0, 500, 5, highest=1e6, prefix="$ ", decimals=2),
        "developers": AmountRow("Developers", 1, 50, 1, highest=100_000),
        "life": AmountRow("Years it lasts", 1, 10, 0.5, highest=50, decimals=1),
        "resale": AmountRow("Resale value", 0, 80, 1, highest=100, suffix=" %"),
        "discount": AmountRow("Interest a year", 0, 20, 0.5, highest=100, suffix=" %", decimals=1),
        "use": AmountRow("Share of the day it writes", 1, 100, 1, suffix=" %"),
        "speed": AmountRow("Speed, all people together", 0, 2000, 10, highest=1e6, suffix=" t/s"),
        "read": AmountRow("Tokens read for one written", 0, 50, 0.5, highest=1e4, decimals=1),
        "cached": AmountRow("Of these from the cache", 0, 100, 1, suffix=" %"),
        "tax": AmountRow("Tax on the purchase", 0, 30, 1, highest=100, suffix=" %"),
        "maintenance": AmountRow("Maintenance a year", 0, 5000, 50, highest=1e9, prefix="$ "),
        "hours": AmountRow("Your hours a month", 0, 40, 1, highest=10_000, suffix=" h"),
        "rate": AmountRow("An hour of yours", 0, 200, 5, highest=10_000, prefix="$ "),
    }


class OwnOrRentView(QWidget):
    """The form, the verdict, the figures and two pictures."""

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state, self._theme = state, theme
        self._prices: dict[str, Priced] = {}
        self._began = False
        self._mix_is_own = False
        self.answer: OwnOrRentAnswer | None = None
        self.lines: QWidget | None = None
        self.tornado: QWidget | None = None
        self.rows = _rows()
        self.scenario = ChoiceBox(theme, "Begin with", self._take_scenario)
        self.scenario.setMinimumWidth(160)
        self.scenario.setMaximumWidth(420)
        self.api = ChoiceBox(theme, "The same model over an API", lambda _value: self._ask())
        self.api.setFixedWidth(190)
        self.mix = text_label("", "small", wrap=True)
        self.verdict = VerdictCard(theme)
        self.figures = KeyValue()
        self._lay_out()
        for row in self.rows.values():
            row.changed.connect(self._ask)
        for name in ("read", "cached"):
            self.rows[name].changed.connect(lambda: self._say_mix("as you entered"))
        state.prices_changed.connect(self._show_prices)
        state.month_changed.connect(self._take_mix)
        state.answered.connect(self._show)
        state.refused.connect(self._refuse)

    # --- layout --------------------------------------------------------------------------

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        pick = QHBoxLayout()
        pick.addWidget(text_label("Begin with", "strong"))
        pick.addSpacing(SIZES["space"])
        pick.addWidget(self.scenario, 4)
        pick.addStretch(1)
        self.edit_prices = push_button(
            self._theme, "Edit prices…", self._edit_prices, kind="quiet", icon="edit"
        )
        pick.addWidget(self.edit_prices)
        column.addLayout(pick)
        self.note = text_label("", "small", wrap=True)
        column.addWidget(self.note)
        self.price_problem = text_label("", "warning", wrap=True)
        self.price_problem.hide()
        column.addWidget(self.price_problem)
        column.addWidget(self.verdict)
        column.addWidget(self._form())
        self.pictures = QVBoxLayout()
        self.pictures.setSpacing(SIZES["space-2"])
        column.addLayout(self.pictures)
        column.addWidget(self._figures())

    def _form(self) -> Card:
        card = Card()
        grid = QGridLayout()
        grid.setHorizontalSpacing(SIZES["space-3"])
        grid.setVerticalSpacing(SIZES["space"])
        for number, row in enumerate(self.rows.values()):
            grid.addWidget(row, number // 2, number % 2)
        grid.setColumnStretch(0, 1)
        grid.setColumnStretch(1, 1)
        card.body.addLayout(grid)
        api = QHBoxLayout()
        api.addWidget(text_label("The same model over an API", "small"))
        api.addSpacing(SIZES["space"])
        api.addWidget(self.api)
        self.api_age = text_label("", "small", wrap=True)
        api.addWidget(self.api_age, 1)
        card.body.addLayout(api)
        card.body.addWidget(self.mix)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        card.body.addWidget(self.problem)
        return card

    def _figures(self) -> Card:
        card = Card()
        head = QHBoxLayout()
        head.addWidget(text_label("In figures", "strong"))
        head.addStretch(1)
        head.addWidget(text_label("calculated from what you enter", "chip"))
        card.body.addLayout(head)
        card.body.addWidget(self.figures)
        return card

    def add_charts(self, lines: QWidget, tornado: QWidget) -> None:
        """Put in the pictures, once they are ready."""
        self.lines, self.tornado = lines, tornado
        for title, chart in (
            ("Money spent, owning and renting", lines),
            ("What the yearly gain depends on", tornado),
        ):
            self.pictures.addWidget(section_title(title))
            card = Card()
            card.body.addWidget(chart)
            self.pictures.addWidget(card)
        if self.answer is not None:
            self._draw(self.answer)

    # --- asking --------------------------------------------------------------------------

    def question(self) -> OwnOrRent:
        """Return what is asked now."""
        rows = {name: row.amount for name, row in self.rows.items()}
        api = self._prices.get(str(self.api.currentData()))
        return OwnOrRent(
            hardware=rows["hardware"],
            host=rows["host"],
            tax_rate=rows["tax"] / 100,
            resale_share=rows["resale"] / 100,
            life_years=rows["life"],
            energy_per_month=rows["energy"],
            maintenance_per_year=rows["maintenance"],
            staff_hours_per_month=rows["hours"],
            staff_per_hour=rows["rate"],
            developers=int(rows["developers"]),
            seat_per_month=rows["seat"],
            discount=rows["discount"] / 100,
            tokens_per_s=rows["speed"],
            use_share=rows["use"] / 100,
            api_input=api.figures["input"] if api is not None else Decimal(0),
            api_cached=api.figures["cached"] if api is not None else Decimal(0),
            api_output=api.figures["output"] if api is not None else Decimal(0),
            read_per_written=rows["read"],
            cached_share=rows["cached"] / 100,
        )

    def _ask(self) -> None:
        self._show_age()
        self._state.ask(self.question())

    def _show_prices(self) -> None:
        prices = self._state.prices
        if prices is None:
            return
        self._prices = {p.name: p for p in (*prices.scenarios, *prices.apis)}
        self.price_problem.setText(prose(prices.problem))
        self.price_problem.setVisible(bool(prices.problem))
        self.edit_prices.setVisible(self._state.is_local)
        self.scenario.offer([(p.name, p.name) for p in prices.scenarios])
        self.api.offer([(p.name, p.name) for p in prices.apis if p.note])
        if not self._began and prices.scenarios:
            self._began = True
            self.rows["life"].set_amount(4)
            self.rows["discount"].set_amount(8)
            self.rows["use"].set_amount(5)
            self.rows["developers"].set_amount(10)
            self.rows["read"].set_amount(ASSUMED_READ)
            self.rows["cached"].set_amount(ASSUMED_CACHED)
            self.mix.setText("Tokens read and cached: assumed, until the ledger knows yours.")
            self._take_scenario(prices.scenarios[0].name)

    def _take_scenario(self, name: str) -> None:
        found = self._prices.get(name)
        if found is None:
            return
        figures = found.figures
        for row, figure in (
            ("hardware", "hardware"),
            ("host", "host"),
            ("energy", "energy_per_month"),
            ("seat", "seat_per_month"),
            ("speed", "tokens_per_s"),
        ):
            self.rows[row].set_amount(figures[figure])
        # The API of the very model whose speed is given; nothing else is a fair comparison.
        named = [api for api in self._api_names() if api in found.note]
        if named:
            self.api.show_value(max(named, key=len))
        self.note.setText(f"{found.note} Source: {found.source}, {age_text(found)}.")
        set_role(self.note, "role", "warning" if found.stale else "small")
        self._ask()

    def _take_mix(self) -> None:
        """Begin with what was really read and written, once the ledger knows enough of it."""
        found = self._state.summary
        if self._mix_is_own or found is None or found.total.completion_tokens < ENOUGH_TOKENS:
            return
        total = found.total
        self._mix_is_own = True
        self.rows["read"].set_amount(total.prompt_tokens / total.completion_tokens)
        share = total.cached_tokens / total.prompt_tokens if total.prompt_tokens else 0.0
        self.rows["cached"].set_amount(share * 100)
        self._say_mix(f"measured in {found.month}")
        self._ask()

    def _say_mix(self, how: str) -> None:
        self._mix_is_own = True
        self.mix.setText(f"Tokens read and cached: {how}.")

    def _api_names(self) -> list[str]:
        return [str(self.api.itemData(index)) for index in range(self.api.count())]

    def _show_age(self) -> None:
        api = self._prices.get(str(self.api.currentData()))
        if api is None:
            return
        read, cached, written = (
            token_price(api.figures[kind]) for kind in ("input", "cached", "output")
        )
        self.api_age.setText(
            f"{read} read, {cached} cached and {written} written, per million; {age_text(api)}"
        )
        set_role(self.api_age, "role", "warning" if api.stale else "small")

    def _edit_prices(self) -> None:
        self._state.run(self._state.copy_prices())

    # --- showing -------------------------------------------------------------------------

    def _show(self, answer: OwnOrRentAnswer) -> None:
        self.answer = answer
        self.problem.hide()
        self.verdict.say(TONES[answer.outcome], answer.verdict, answer.api_verdict)
        for name, value in answer_facts(answer, self.question()).items():
            self.figures.set(name, value)
        self._draw(answer)

    def _draw(self, answer: OwnOrRentAnswer) -> None:
        if self.lines is not None and self.tornado is not None:
            self.lines.show_answer(answer)  # type: ignore[attr-defined]
            self.tornado.show_swings(answer.swings, float(answer.gain_per_year))  # type: ignore[attr-defined]

    def _refuse(self, error: AppError) -> None:
        self.problem.setText(prose(error.sentence))
        self.problem.show()


def token_price(price: Decimal) -> str:
    """Return a price per million tokens with two decimals, or more where it has more."""
    cents = price.quantize(Decimal("0.01"))
    return f"${cents if cents == price else price.normalize():f}"


def age_text(price: Priced) -> str:
    """Return when a price was checked, and that it is old where it is."""
    old = ", more than 60 days ago" if price.stale else ""
    return f"checked {price.checked_on}{old}"


def api_text(found: ApiMonth) -> str:
    """Return a month over the API with the tokens it is counted from."""
    read, cached, written = (
        format_count(n) for n in (found.input_tokens, found.cached_tokens, found.output_tokens)
    )
    return f"{money(found.money)} a month: {read} read, {cached} cached, {written} written"


def books_text(books: Sequence[BookValue]) -> str:
    """Return what the machine stands at after two years, by three ways of writing it off."""
    if not books:
        return "–"
    at = books[min(1, len(books) - 1)]
    straight, declining, units = (
        money(value, cents=False) for value in (at.straight, at.declining, at.units)
    )
    years = "year" if at.year == 1 else f"{at.year} years"
    return f"after {years} {straight} straight, {declining} declining, {units} by tokens"


def answer_facts(answer: OwnOrRentAnswer, question: OwnOrRent) -> dict[str, str]:
    """Return the figures of an answer in words."""

    def years(value: Decimal | None) -> str:
        return "never" if value is None else f"{value:.2f} years"

    seats = answer.developers_to_beat
    tokens = answer.tokens_per_month_to_beat_api
    shares = "   ".join(
        f"{money(price)} at {share * 100:.0f} %" for share, price in answer.per_million_tokens
    )
    people = answer.people_served
    return {
        "Break-even": f"{years(answer.break_even_years)}, with interest "
        f"{years(answer.discounted_break_even_years)}",
        "Per developer and month": f"{money(answer.per_developer_month)} owned, "
        f"{money(question.seat_per_month)} rented",
        "Owning wins from": "–" if seats is None else f"{math.ceil(seats):,} developers",
        "Per million tokens": shares or "enter a speed",
        "Beats the API from": "–"
        if tokens is None
        else f"{format_count(int(tokens))} tokens written a month",
        "Over the API": "–" if answer.api_month is None else api_text(answer.api_month),
        "In the books": books_text(answer.books),
        "Serves at once": "–" if people is None else f"{people} people at 20 tokens/s each",
        "Value today": f"{money(answer.net_present_value, cents=False)} over "
        f"{int(question.life_years)} years, resale included",
    }
