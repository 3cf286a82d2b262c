"""Links in answers: shown for what they are, opened only when the person says so."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QWidget

from freehold.ui.chats.markdown import is_safe_link
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Choice, Question


def real_target(url: QUrl) -> str:
    """Return who a link really leads to: its host as sent on the wire, or the mail address."""
    if url.scheme().lower() == "mailto":
        return url.path()
    host = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
    return f"{host}:{url.port()}" if url.port() != -1 else host


def open_link(theme: Theme, parent: QWidget, url: QUrl) -> Question | None:
    """Ask before a link is opened; anything but http, https and mailto is never opened."""
    if not is_safe_link(url):
        return None
    address = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
    shown = address if len(address) <= 300 else f"{address[:300]}…"
    dialog = Question(
        theme,
        f"Open {real_target(url)}?",
        f"The model wrote a link to this place. It is opened outside Freehold.\n\n{shown}",
        (Choice("cancel", "Cancel"), Choice("copy", "Copy address"), Choice("open", "Open")),
        parent=parent.window(),
    )

    def chosen() -> None:
        if dialog.answer.key == "open":
            QDesktopServices.openUrl(url)
        elif dialog.answer.key == "copy":
            QGuiApplication.clipboard().setText(address)

    dialog.finished.connect(chosen)
    dialog.open()
    return dialog
