"""A plan on the screen: the verdict, how fast, a bar per device, the legend, and the reasons."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QBrush, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.machine.plan_bar import HATCHED, PART_WORDS, DeviceRow, part_token, slices
from freehold.ui.state.machine import PlanView
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import ElidedLabel, prose, set_role, text_label
from freehold.units import format_bytes, format_rate
from freehold.wire_machine import Plan, RealRuns

SWATCH: Final = 12
NEAR: Final = 0.1
LEGEND_COLUMNS: Final = 3
VERDICTS: Final = {
    "gpu": ("Fits on the GPU", "chip-accent"),
    "gpu+ram": ("Fits", "chip-accent"),
    "disk": ("Runs from the disk, slowly", "chip-warning"),
    "no": ("Does not fit", "chip-danger"),
}
BASES: Final = {
    "measured": "corrected by what it really ran at",
    "calibrated": "calculated from this machine's measured speeds",
    "estimated": "an estimate",
}


def real_words(real: RealRuns) -> str:
    """Return what was measured, beside what was predicted."""
    answers = "answer" if real.count == 1 else "answers"
    times = real.correction
    if abs(times - 1) < NEAR:
        verdict = "as was calculated"
    else:
        share = times if times > 1 else 1 / times
        verdict = f"{share:.1f} times as {'slow' if times > 1 else 'fast'} as was calculated"
    return (
        f"Measured: {format_rate(real.decode_tokens_per_s)} over {real.count} {answers}, {verdict}."
    )


class Swatch(QWidget):
    """A square in a part's colour."""

    def __init__(self, theme: Theme, part: str) -> None:
        super().__init__()
        self._theme, self._part = theme, part
        self.setFixedSize(QSize(SWATCH, SWATCH))
        theme.changed.connect(self.update)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        color = self._theme.color(part_token(self._part))
        hatched = self._part in HATCHED
        brush = QBrush(color, Qt.BrushStyle.BDiagPattern) if hatched else QBrush(color)
        painter.fillRect(self.rect(), brush)
        if hatched:
            painter.setPen(color)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()


class Legend(QWidget):
    """The parts a plan has, each with its colour and its sum over all devices."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(SIZES["space-2"])
        self._grid.setVerticalSpacing(SIZES["space-half"])
        self._items: dict[str, tuple[QWidget, object]] = {}
        for part, words in PART_WORDS.items():
            item = QWidget()
            row = QHBoxLayout(item)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(SIZES["space"])
            label = text_label(words, "small")
            row.addWidget(Swatch(theme, part))
            row.addWidget(label, 1)
            self._items[part] = (item, label)
            item.setParent(self)
            item.hide()

    def show_plan(self, plan: Plan) -> None:
        """Show the parts of a plan."""
        sums: dict[str, int] = {}
        for device in plan.devices:
            for part, size in slices(device):
                sums[part] = sums.get(part, 0) + size
        shown = [part for part in PART_WORDS if part in sums]
        for part, (item, label) in self._items.items():
            self._grid.removeWidget(item)
            item.setVisible(part in sums)
            if part in sums:
                label.setText(f"{PART_WORDS[part]}  {format_bytes(sums[part])}")  # type: ignore[attr-defined]
        for place, part in enumerate(shown):
            self._grid.addWidget(
                self._items[part][0], place // LEGEND_COLUMNS, place % LEGEND_COLUMNS
            )


class PlanPicture(QWidget):
    """Shows a `PlanView` and follows it."""

    def __init__(self, view: PlanView, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view, self._theme = view, theme
        self._rows: list[DeviceRow] = []
        self.verdict = text_label("", "chip")
        self.speed = text_label("", "strong")
        self.basis = ElidedLabel("", "small")
        self.real = text_label("", "muted", wrap=True)
        self.real.hide()
        self.problem = text_label("", "danger", wrap=True)
        self.hint = text_label("", "muted", wrap=True)
        self.reasons = text_label("", "muted", wrap=True)
        self.ways = text_label("", "body", wrap=True)
        self.legend = Legend(theme)
        self._bars = QVBoxLayout()
        self._bars.setSpacing(SIZES["space"])
        self._lay_out()
        view.changed.connect(self._refresh)
        self._refresh()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-2"])
        head = QHBoxLayout()
        head.setSpacing(SIZES["space"])
        head.addWidget(self.verdict)
        head.addWidget(self.speed)
        head.addWidget(self.basis, 100)
        head.addStretch(1)
        column.addLayout(head)
        column.addWidget(self.real)
        column.addWidget(self.problem)
        column.addWidget(self.hint)
        column.addLayout(self._bars)
        column.addWidget(self.legend)
        column.addWidget(self.ways)
        column.addWidget(self.reasons)

    def rows(self) -> tuple[DeviceRow, ...]:
        """Return the bars that are shown."""
        return tuple(row for row in self._rows if not row.isHidden())

    def _refresh(self) -> None:
        view = self._view
        plan, problem = view.plan, view.problem
        self.problem.setVisible(problem is not None)
        self.hint.setVisible(problem is not None and bool(problem.hint))
        for widget in (self.legend, self.reasons):
            widget.setVisible(plan is not None)
        self.ways.setVisible(plan is not None and bool(plan.ways_out))
        if problem is not None:
            self.problem.setText(prose(problem.message))
            self.hint.setText(prose(problem.hint))
        self._show_head(plan)
        self._show_bars(plan)
        if plan is not None:
            self.legend.show_plan(plan)
            self.reasons.setText("\n".join(plan.reasons))
            self.ways.setText("\n".join(f"→ {way}" for way in plan.ways_out))

    def _show_head(self, plan: Plan | None) -> None:
        waiting = self._view.is_waiting
        self.verdict.setVisible(plan is not None or waiting)
        self.speed.setVisible(plan is not None and plan.decode_tokens_per_s is not None)
        self.basis.setVisible(self.speed.isVisibleTo(self))
        if plan is None:
            self.verdict.setText("Working it out…")
            set_role(self.verdict, "role", "chip")
            return
        words, look = VERDICTS[plan.verdict]
        self.verdict.setText(words)
        set_role(self.verdict, "role", look)
        if plan.decode_tokens_per_s is not None:
            prompts = plan.prefill_tokens_per_s
            tail = f", prompts {format_rate(prompts)}" if prompts else ""
            self.speed.setText(f"About {format_rate(plan.decode_tokens_per_s)}{tail}")
            self.basis.setText(BASES[plan.basis])
        self.real.setVisible(plan.real is not None)
        if plan.real is not None:
            self.real.setText(real_words(plan.real))

    def _show_bars(self, plan: Plan | None) -> None:
        shown = [d for d in plan.devices if d.kind != "disk" or d.used_bytes] if plan else []
        while len(self._rows) < len(shown):
            row = DeviceRow(self._theme)
            self._rows.append(row)
            self._bars.addWidget(row)
        for number, row in enumerate(self._rows):
            row.setVisible(number < len(shown))
            if number < len(shown):
                row.show_device(shown[number])
