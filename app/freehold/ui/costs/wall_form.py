"""What measures at the wall: a plug, or a server's management board with its account."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.settings.fields import ChoiceBox
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import prose, text_label
from freehold.wire_power import Plug, PlugTrial

KINDS = (
    ("shelly-2", "Shelly Plus and Pro (Gen2)"),
    ("shelly-1", "Shelly Plug (Gen1)"),
    ("tasmota", "Tasmota"),
    ("redfish", "Management board (Redfish)"),
    ("ipmi", "Management board (ipmitool)"),
)
EXPLAINED = {
    "redfish": "A server's own board, asked over HTTPS with an account that may read sensors. The"
    " password goes into your key ring.",
    "ipmi": "This machine's own board, asked through the program ipmitool, if your user may."
    " Freehold never asks for root.",
}
PLUG_EXPLAINED = (
    "Shelly and Tasmota plugs on your own network, asked once a second. A meter is tried before it"
    " is kept."
)


class WallForm(QWidget):
    """Signals: wanted(PlugTrial): try and use it; dropped: stop using it."""

    wanted = Signal(object)
    dropped = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown_fingerprint = ""
        self.kind = ChoiceBox(theme, "Kind of meter", self._show_kind)
        self.kind.setFixedWidth(270)
        self.kind.offer(KINDS)
        self.host = _field("Address of the meter", "192.168.1.40")
        self.user = _field("User of the board", "reader")
        self.password = _field("Password of the board", "")
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.use = push_button(theme, "Try and use", self._use, kind="primary")
        self.forget = push_button(theme, "Stop using it", self.dropped.emit)
        self.explain = text_label("", "small", wrap=True)
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        self.fingerprint = text_label("", "small", wrap=True)
        self.trust = push_button(theme, "It is the same: trust it", self._trust)
        self._lay_out()
        self._show_kind(KINDS[0][0])

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space"])
        column.addWidget(text_label("A meter at the wall sees everything", "strong"))
        column.addWidget(self.explain)
        row = QHBoxLayout()
        row.addWidget(self.kind)
        row.addWidget(self.host, 1)
        row.addWidget(self.use)
        row.addWidget(self.forget)
        column.addLayout(row)
        self.account = QWidget()
        account = QHBoxLayout(self.account)
        account.setContentsMargins(0, 0, 0, 0)
        for name, field in (("User", self.user), ("Password", self.password)):
            account.addWidget(text_label(name, "small"))
            account.addWidget(field, 1)
        column.addWidget(self.account)
        column.addWidget(self.problem)
        self.compare = QWidget()
        compare = QVBoxLayout(self.compare)
        compare.setContentsMargins(0, 0, 0, 0)
        compare.addWidget(self.fingerprint)
        line = QHBoxLayout()
        line.addWidget(self.trust)
        line.addStretch(1)
        compare.addLayout(line)
        column.addWidget(self.compare)
        self.compare.hide()

    def _show_kind(self, kind: str) -> None:
        self.host.setVisible(kind != "ipmi")
        self.account.setVisible(kind == "redfish")
        self.explain.setText(EXPLAINED.get(kind, PLUG_EXPLAINED))

    def show_plug(self, plug: Plug | None) -> None:
        """Show what is read now."""
        self.forget.setVisible(plug is not None)
        self.use.setEnabled(True)
        if plug is not None and not (self.host.hasFocus() or self.user.hasFocus()):
            self.kind.show_value(plug.kind)
            self.host.setText(plug.host)
            self.user.setText(plug.user)
            self._shown_fingerprint = plug.fingerprint
            self._show_kind(plug.kind)

    def trial(self, fingerprint: str = "") -> PlugTrial:
        """Return what stands in the fields."""
        kind = str(self.kind.currentData())
        board = kind == "redfish"
        return PlugTrial(
            kind=kind,  # type: ignore[arg-type]
            host="" if kind == "ipmi" else self.host.text().strip(),
            user=self.user.text().strip() if board else "",
            password=self.password.text() if board else "",
            fingerprint=fingerprint if board else "",
        )

    def _use(self) -> None:
        self._begin()
        self.wanted.emit(self.trial())

    def _trust(self) -> None:
        self._begin()
        self.wanted.emit(self.trial(self._shown_fingerprint))

    def _begin(self) -> None:
        self.problem.hide()
        self.compare.hide()
        self.use.setEnabled(False)

    def accept(self) -> None:
        """Show that a meter is read now."""
        self.password.clear()
        self.use.setEnabled(True)

    def refuse(self, error: AppError) -> None:
        """Say why a meter is not read; a certificate nobody signed can be compared."""
        self.use.setEnabled(True)
        self.problem.setText(prose(error.sentence))
        self.problem.show()
        shown = str(error.detail.get("fingerprint", ""))
        if shown:
            self._shown_fingerprint = shown
            self.fingerprint.setText(f"SHA-256 {shown}")
        self.compare.setVisible(bool(shown))


def _field(name: str, example: str) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(name)
    field.setPlaceholderText(example)
    return field
