"""What no meter sees: ten minutes beside a plug, or the power supply's efficiency."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.costs.controls import ShareBar
from freehold.ui.state.costs import CostsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import rule
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_power import CalibrationResult, CalibrationState, Meters

RUNNING = ("rest", "load")


class CalibrationView(QWidget):
    """A button, its progress, the result with its date, and the rough figure without one."""

    def __init__(self, state: CostsState, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._state = state
        self.result = text_label("", "body", wrap=True)
        self.begin = push_button(theme, "Calibrate, 10 minutes", state.calibrate)
        self.cancel = push_button(theme, "Cancel", state.cancel_calibration)
        self.forget = push_button(theme, "Forget it", state.forget_calibration, kind="quiet")
        self.bar = ShareBar("Calibration")
        self.progress = text_label("", "small", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self.supply = QDoubleSpinBox()
        self.supply.setAccessibleName("Efficiency of the power supply")
        self.supply.setRange(0, 100)
        self.supply.setDecimals(0)
        self.supply.setSuffix(" %")
        self.supply.setSpecialValueText("not counted")
        self.supply.setFixedWidth(140)
        self.supply.lineEdit().setTextMargins(9, 0, 9, 0)
        self.supply.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.supply.editingFinished.connect(self._save_supply)
        self._lay_out()
        state.meters_changed.connect(self._show)
        state.settings_changed.connect(self._show_supply)
        state.calibration_changed.connect(self._show_run)
        self._show_run()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        column.addWidget(rule())
        column.addWidget(text_label("The rest of the machine", "strong"))
        column.addWidget(
            text_label(
                "Fans, disks, memory and the power supply's loss are seen at the wall alone. Ten"
                " minutes beside a plug tell what they draw, so that the plug can go elsewhere:"
                " five at rest, five while the model answers. Leave the machine alone meanwhile.",
                "small",
                wrap=True,
            )
        )
        column.addWidget(self.result)
        buttons = QHBoxLayout()
        for button in (self.begin, self.cancel, self.forget):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.progress)
        column.addWidget(self.problem)
        self.supply_row = QWidget()
        row = QHBoxLayout(self.supply_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(text_label("Without a plug: the power supply is", "small"))
        row.addWidget(self.supply)
        row.addWidget(text_label("efficient", "small"))
        row.addStretch(1)
        column.addWidget(self.supply_row)

    def _show(self) -> None:
        meters = self._state.meters
        if meters is None:
            return
        self.result.setText(rest_text(meters))
        self.forget.setVisible(meters.calibration is not None and self._state.is_local)
        self.supply_row.setVisible(meters.calibration is None and self._state.is_local)
        self._show_run()

    def _show_run(self) -> None:
        found, meters = self._state.calibration, self._state.meters
        running = found.phase in RUNNING
        possible = meters is not None and not meters.cannot_calibrate
        self.begin.setVisible(not running and self._state.is_local)
        self.begin.setEnabled(possible)
        self.cancel.setVisible(running)
        self.bar.setVisible(running)
        self.bar.show_share(found.share)
        self.progress.setText(progress_text(found, meters))
        self.progress.setVisible(bool(self.progress.text()))
        self.problem.setText(prose(found.problem))
        self.problem.setVisible(bool(found.problem))

    def _show_supply(self) -> None:
        own = self._state.settings
        if own is not None and not self.supply.hasFocus():
            self.supply.setValue(float(own.supply_efficiency * 100))

    def _save_supply(self) -> None:
        own = self._state.settings
        share = Decimal(round(self.supply.value())) / 100
        if own is not None and share != own.supply_efficiency:
            wanted = msgspec.structs.replace(own, supply_efficiency=share)
            self._state.run(self._state.save_settings(wanted), self._refuse)

    def _refuse(self, error: AppError) -> None:
        self.problem.setText(prose(error.sentence))
        self.problem.show()
        self._show_supply()


def progress_text(found: CalibrationState, meters: Meters | None) -> str:
    """Return what a calibration does now, or why none can begin."""
    if found.phase in RUNNING:
        left = round(found.seconds_left)
        doing = "at rest" if found.phase == "rest" else "under load: the model answers"
        return f"Measuring {doing}; {left // 60}:{left % 60:02} left."
    if found.phase == "cancelled":
        return "Cancelled; nothing was changed."
    return meters.cannot_calibrate if meters is not None else ""


def rest_text(meters: Meters) -> str:
    """Return how the rest of the machine is counted, in words."""
    if meters.calibration is not None:
        used = " It is used now." if meters.rest else ""
        if not meters.rest and meters.plug is None:
            used = " It was made with other meters and is not used; calibrate again."
        return calibration_text(meters.calibration) + used
    if meters.rest:
        return f"Counted by the {meters.rest}, calculated ± 15 %; a calibration is nearer."
    if meters.plug is not None:
        return "Measured at the wall, with everything in it."
    return "Not counted: figures are of GPU and processor alone."


def calibration_text(found: CalibrationResult) -> str:
    """Return a calibration's result with its error and date."""
    return (
        f"Calibrated on {found.on}: {found.offset_watts:.0f} ± {found.offset_error:.1f} W and"
        f" {found.factor:.3f} ± {found.factor_error:.3f} times what is measured; figures are"
        f" ± {found.error_share * 100:.0f} %."
    )
