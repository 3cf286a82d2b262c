"""Where messages are typed: grows with its text, sends, stops, and never loses anything."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QFocusEvent, QGuiApplication, QImage, QKeyEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from freehold.ui.chats.growing_edit import GrowingEdit
from freehold.ui.documents.chip_strip import ChipStrip
from freehold.ui.documents.drops import dropped_paths
from freehold.ui.icons import set_icon
from freehold.ui.state.gathering import LONG_TEXT
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import set_role, text_label

_KEYPAD = Qt.KeyboardModifier.KeypadModifier


class _Box(GrowingEdit):
    """The text box with its keys.

    Signals: send_asked: Enter; last_asked: Up in an empty box; stop_asked: Esc;
    files_pasted(paths), image_pasted(QImage), text_pasted(text): what becomes an attachment.
    """

    send_asked = Signal()
    last_asked = Signal()
    stop_asked = Signal()
    focus_changed = Signal(bool)
    files_pasted = Signal(object)
    image_pasted = Signal(object)
    text_pasted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, most_lines=10)
        self.setAcceptDrops(False)  # files are dropped on the window, wherever

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return bool(source.hasImage() or source.hasUrls()) or super().canInsertFromMimeData(source)

    def insertFromMimeData(self, source: QMimeData) -> None:
        paths = dropped_paths(source)
        if paths:
            self.files_pasted.emit(paths)
        elif source.hasImage() and not source.hasText():
            image = source.imageData()
            if isinstance(image, QImage) and not image.isNull():
                self.image_pasted.emit(image)
        elif len(source.text()) > LONG_TEXT:
            self.text_pasted.emit(source.text())
        else:
            super().insertFromMimeData(source)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = event.key(), event.modifiers()
        both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
        if key == Qt.Key.Key_V and modifiers == both:
            self.insertPlainText(QGuiApplication.clipboard().text())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            # While an input method composes, Enter belongs to it and does not arrive here.
            if modifiers & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier):
                self.insertPlainText("\n")
                self.ensureCursorVisible()
            else:
                self.send_asked.emit()
        elif key == Qt.Key.Key_Up and not modifiers & ~_KEYPAD and not self.toPlainText():
            self.last_asked.emit()
        elif key == Qt.Key.Key_Escape:
            self.stop_asked.emit()
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.focus_changed.emit(True)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.focus_changed.emit(False)


class Composer(QWidget):
    """The box, its button, and a line that says what happens.

    Signals: send_asked(text), stop_asked, edit_last_asked, typed(text): the person changed it;
    attach_asked: the paper clip.
    """

    send_asked = Signal(str)
    stop_asked = Signal()
    attach_asked = Signal()
    edit_last_asked = Signal()
    typed = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._busy = False
        self._sending = False
        self._filling = False
        self._look: tuple[bool, bool, bool] | None = None
        self._frame = QFrame(self)
        self._frame.setObjectName("composer")
        self.box = _Box(self._frame)
        self.box.setPlaceholderText("Write a message…")
        self.box.setAccessibleName("Message")
        self.button = push_button(theme, "Send", self._on_clicked, kind="primary", icon="send")
        self.button.setToolTip("Enter sends, Shift+Enter begins a new line")
        self.hint = text_label("", "small", wrap=True, parent=self)
        self.attach_button = icon_button(
            theme, "paperclip", "Attach documents (drop them anywhere)", self.attach_asked.emit
        )
        self.attach_button.setAccessibleName("Attach documents")
        self.strip = ChipStrip(theme, self)
        inner = QHBoxLayout(self._frame)
        inner.setContentsMargins(8, 8, 8, 8)
        inner.setSpacing(6)
        inner.addWidget(self.attach_button, 0, Qt.AlignmentFlag.AlignBottom)
        inner.addWidget(self.box, 1, Qt.AlignmentFlag.AlignVCenter)
        inner.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 6, 0, 10)
        column.setSpacing(4)
        column.addWidget(self.strip)
        column.addWidget(self._frame)
        column.addWidget(self.hint)
        self.hint.hide()
        self.box.send_asked.connect(self._send)
        self.box.submitted.connect(self._send)
        self.box.stop_asked.connect(self.stop_asked)
        self.box.last_asked.connect(self.edit_last_asked)
        self.box.textChanged.connect(self._on_text_changed)
        self.box.focus_changed.connect(lambda on: set_role(self._frame, "focused", on))
        self._refresh()

    @property
    def text(self) -> str:
        """Return what is typed."""
        return self.box.toPlainText()

    def fill(self, text: str) -> None:
        """Put a text into the box without taking it for typed."""
        if text == self.text:
            return
        self._filling = True
        self.box.setPlainText(text)
        self.box.moveCursor(self.box.textCursor().MoveOperation.End)
        self._filling = False
        self._refresh()

    def set_busy(self, busy: bool) -> None:
        """Be a Stop button while an answer is written; typing goes on."""
        self._busy = busy
        self._refresh()

    def set_sending(self, sending: bool) -> None:
        """Wait for the server to take what was sent; the text stays until it has."""
        self._sending = sending
        self.box.setReadOnly(sending)
        self._refresh()

    def say(self, text: str, *, problem: bool = False) -> None:
        """Say something below the box; an empty text says nothing."""
        self.hint.setText(text)
        set_role(self.hint, "role", "danger" if problem else "small")
        self.hint.setVisible(bool(text))

    # --- inside ----------------------------------------------------------------------------------

    def _on_text_changed(self) -> None:
        self._refresh()
        if not self._filling:
            self.typed.emit(self.text)

    def _on_clicked(self) -> None:
        if self._busy:
            self.stop_asked.emit()
        else:
            self._send()

    def _send(self) -> None:
        if self._busy:
            if self.text.strip():
                self.say("An answer is being written. Wait for it, or press Esc to stop it.")
        elif self.text.strip() and not self._sending:
            self.send_asked.emit(self.text)

    def _refresh(self) -> None:
        look = (self._busy, self._sending, bool(self.text.strip()) if not self._busy else True)
        if look == self._look:
            return
        self._look = look
        name, icon = ("Stop", "stop") if self._busy else ("Send", "send")
        self.button.setText("Sending…" if self._sending else name)
        self.button.setAccessibleName(name)
        self.button.setToolTip(
            "Esc" if self._busy else "Enter sends, Shift+Enter begins a new line"
        )
        set_icon(self.button, self._theme, icon, "text" if self._busy else "accent-text")
        set_role(self.button, "kind", "plain" if self._busy else "primary")
        self.button.setEnabled(self._busy or (look[2] and not self._sending))
