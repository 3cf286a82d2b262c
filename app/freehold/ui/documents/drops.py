"""Dropping on the window, wherever: what hangs over it says what will happen."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QMimeData, QObject, QRectF, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from freehold.ui.icons import pixmap
from freehold.ui.state.gathering import is_model
from freehold.ui.theme import Theme
from freehold.ui.widgets.labels import text_label

VEIL = 205  # what is below stays to be guessed
LIMITS = (
    "Up to 200 files of 500 MB each: PDF, Word, Excel, PowerPoint, OpenDocument, pictures, web"
    " pages, e-books, mail, text and source code. Folders are opened."
)


class DropOverlay(QFrame):
    """Hangs over the whole window while something is dragged over it."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._over = theme, parent
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._icon = QLabel(self)
        self._icon.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.title = text_label("", "title", parent=self)
        self.hint = text_label(LIMITS, "muted", wrap=True, parent=self)
        self.hint.setFixedWidth(480)
        column = QVBoxLayout(self)
        column.addStretch(1)
        for label in (self._icon, self.title, self.hint):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            column.addWidget(label, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        self.hide()

    def appear(self, title: str, hint: str, icon: str) -> None:
        """Cover the window and say what dropping does."""
        self.title.setText(title)
        self.hint.setText(hint)
        self.hint.setMinimumHeight(self.hint.heightForWidth(480))
        color = self._theme.hex("accent")
        self._icon.setPixmap(pixmap(icon, color, 56, self.devicePixelRatioF()))
        self.setGeometry(self._over.rect())
        self.show()
        self.raise_()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        veil = self._theme.color("window")
        veil.setAlpha(VEIL)
        painter.fillRect(self.rect(), veil)
        pen = QPen(self._theme.color("accent"), 2, Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(self._theme.color("accent-soft"))
        middle = QRectF(self.rect()).center()
        area = QRectF(0, 0, min(640, self.width() - 48), min(260, self.height() - 48))
        area.moveCenter(middle)
        painter.drawRoundedRect(area, 16, 16)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(12, 12, -12, -12), 16, 16)


class WindowDrops(QObject):
    """Makes a window take files anywhere.

    Signals: dropped(paths): local files and folders, in order.
    """

    dropped = Signal(object)

    def __init__(
        self, window: QWidget, theme: Theme, words: Callable[[], str], parent: QObject | None = None
    ) -> None:
        """Watch a window; `words` says what dropping files would do on the page in front."""
        super().__init__(parent or window)
        self._window, self._words = window, words
        self.overlay = DropOverlay(theme, window)
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        kind = event.type()
        if kind == QEvent.Type.DragEnter and isinstance(event, QDragEnterEvent):
            return self._enter(event)
        if kind == QEvent.Type.DragLeave:
            self.overlay.hide()
        elif kind == QEvent.Type.Drop and isinstance(event, QDropEvent):
            self.overlay.hide()
            paths = dropped_paths(event.mimeData())
            if paths:
                event.acceptProposedAction()
                self.dropped.emit(paths)
                return True
        return super().eventFilter(watched, event)

    def _enter(self, event: QDragEnterEvent) -> bool:
        paths = dropped_paths(event.mimeData())
        if not paths:
            return False
        event.acceptProposedAction()
        if all(is_model(path) for path in paths):
            self.overlay.appear("Drop to add to your models", "The files stay where they are.",
                                "models")  # fmt: skip
        else:
            self.overlay.appear(self._words(), LIMITS, "documents")
        return True


def dropped_paths(data: QMimeData) -> list[str]:
    """Return the local files and folders of a drag, in order."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile() and url.toLocalFile()]
