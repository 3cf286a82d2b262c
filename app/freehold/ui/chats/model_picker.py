"""Which model answers in this chat: a button, and a list of the models on this machine."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QEvent, QPoint, Qt, Signal, SignalInstance
from PySide6.QtGui import QEnterEvent, QKeyEvent, QMouseEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.chats.tips import plain_tip
from freehold.ui.icons import pixmap, set_icon
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import rule
from freehold.ui.widgets.labels import ElidedLabel, set_role, text_label
from freehold.units import format_bytes
from freehold.wire import EngineState, ModelEntry


def model_facts(model: ModelEntry, engine: EngineState | None) -> str:
    """Return what tells models apart: quantisation, size, and whether it is loaded."""
    parts = [part for part in (model.quant, format_bytes(model.bytes)) if part]
    if model.problem is not None:
        parts.append(model.problem.message)
    elif engine is not None:
        parts.append(phase_text(engine))
    return "  ·  ".join(parts)


def phase_text(engine: EngineState) -> str:
    """Return what an engine is doing, in words."""
    if engine.phase == "loading":
        return f"loading {round(100 * engine.fraction)} %"
    if engine.phase == "failed":
        return engine.error.message if engine.error else "did not load"
    return {"ready": "loaded", "unloading": "unloading"}[engine.phase]


class ModelRow(QFrame):
    """One model in the list. Signals: chosen(ref), load_asked(ref)."""

    chosen = Signal(str)
    load_asked = Signal(str)

    def __init__(self, theme: Theme, model: ModelEntry, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self.model = theme, model
        self.setProperty("modelRow", True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._mark = QLabel(self)
        self._mark.setFixedWidth(20)
        name = ElidedLabel(model.name or model.ref, "strong", parent=self)
        self._facts = ElidedLabel("", "small", parent=self)
        self._bar = QProgressBar(self)
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 1000)
        self._load = push_button(theme, "Load", lambda: self.load_asked.emit(model.ref))
        self._load.setToolTip("Load it now; otherwise it is loaded with your next message")
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(name)
        words.addWidget(self._facts)
        words.addWidget(self._bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(10, 8, 10, 8)
        row.setSpacing(8)
        row.addWidget(self._mark)
        row.addLayout(words, 1)
        row.addWidget(self._load)

    @property
    def facts(self) -> str:
        """Return the line below the name."""
        return self._facts.text()

    def show_state(self, engine: EngineState | None, *, chosen: bool) -> None:
        """Show whether the model is loaded, loading or chosen."""
        self._facts.setText(model_facts(self.model, engine))
        loading = engine is not None and engine.phase == "loading"
        self._bar.setVisible(loading)
        if engine is not None:
            self._bar.setValue(round(1000 * engine.fraction))
        self._load.setVisible(
            self.model.ready and (engine is None or engine.phase in ("failed", "unloading"))
        )
        icon, token = ("check", "accent") if chosen else ("dot", "success")
        shown = chosen or (engine is not None and engine.phase == "ready")
        if shown:
            color = self._theme.hex(token)
            self._mark.setPixmap(pixmap(icon, color, 16, self.devicePixelRatioF()))
        else:
            self._mark.clear()
        self.setAccessibleName(f"{self.model.name}, {self.facts}{', chosen' if chosen else ''}")

    def choose(self) -> None:
        """Use this model in the chat."""
        if self.model.ready:
            self.chosen.emit(self.model.ref)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.pos()):
            self.choose()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.choose()
        elif event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
            self.focusNextPrevChild(event.key() == Qt.Key.Key_Down)
        else:
            super().keyPressEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        set_role(self, "hovered", True)

    def leaveEvent(self, event: QEvent) -> None:
        set_role(self, "hovered", False)


class ModelMenu(QFrame):
    """The list that opens below the button.

    Signals: chosen(ref), import_asked, manage_asked.
    """

    chosen = Signal(str)
    import_asked = Signal()
    manage_asked = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._session, self._theme = session, theme
        self._chosen = ""
        self.rows: dict[str, ModelRow] = {}
        self.setObjectName("modelMenu")
        self.setFixedWidth(420)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(2)
        self._none = text_label("No model to chat with on this machine yet.", "muted", parent=self)
        self._none.setContentsMargins(12, 12, 12, 12)
        column.addWidget(self._none)
        self._area = QScrollArea(self)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list = QWidget()
        self._list.setProperty("page", True)
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addStretch()
        self._area.setWidget(self._list)
        column.addWidget(self._area)
        column.addWidget(rule(self))
        for text, icon, signal in (
            ("Import a GGUF file…", "plus", self.import_asked),
            ("Manage models", "models", self.manage_asked),
        ):
            button = push_button(theme, text, partial(self._leave, signal), kind="quiet")
            button.setStyleSheet("text-align: left;")
            set_icon(button, theme, icon)
            column.addWidget(button)
        session.models_changed.connect(self._refresh)
        session.engines_changed.connect(self._refresh)

    def open_below(self, button: QWidget, chosen: str) -> None:
        """Open under a button, with the chat's model marked."""
        self._chosen = chosen
        self._refresh()
        self.adjustSize()
        self.move(button.mapToGlobal(QPoint(0, button.height() + 4)))
        self.show()
        row = self.rows.get(chosen) or next(iter(self.rows.values()), None)
        if row is not None:
            row.setFocus()

    def _refresh(self) -> None:
        models = {m.ref: m for m in self._session.models if m.kind == "chat"}
        if [(r.model) for r in self.rows.values()] != list(models.values()):
            for row in self.rows.values():
                self._column.removeWidget(row)
                row.deleteLater()
            self.rows = {}
            for place, model in enumerate(models.values()):
                row = ModelRow(self._theme, model, self._list)
                row.chosen.connect(self._choose)
                row.load_asked.connect(self._load)
                self._column.insertWidget(place, row)
                self.rows[model.ref] = row
        engines = {engine.ref: engine for engine in self._session.engines}
        for ref, row in self.rows.items():
            row.show_state(engines.get(ref), chosen=ref == self._chosen)
        self._none.setVisible(not self.rows)
        self._area.setVisible(bool(self.rows))
        self._area.setFixedHeight(min(360, 66 * len(self.rows) + 4))

    def _choose(self, ref: str) -> None:
        self.close()
        self.chosen.emit(ref)

    def _load(self, ref: str) -> None:
        spawn(self, self._session.client.load_model(ref))

    def _leave(self, signal: SignalInstance) -> None:
        self.close()
        signal.emit()


class ModelButton(QPushButton):
    """Shows the chat's model and its state."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setObjectName("modelButton")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setMaximumWidth(340)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the arrow stands at the right
        set_icon(self, theme, "chevron-down")

    def show_model(self, name: str, engine: EngineState | None, *, missing: bool) -> None:
        """Show a model's name and what its engine is doing."""
        state = phase_text(engine) if engine is not None else "not loaded"
        if engine is not None and engine.phase == "failed":
            state = "did not load"  # why is told where there is room
        if missing:
            state = "not on this machine"
        text = f"{name}  ·  {state}" if name else "Choose a model"
        shown = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, 280)
        self.setText(shown.replace("&", "&&"))
        self.setToolTip(plain_tip(text) if name else "Choose the model that answers in this chat")
        self.setAccessibleName(f"Model: {text}")
