"""Links in answers: shown for what they are, opened only when the person says so."""

from __future__ import annotations

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMessageBox, QWidget

from freehold.ui.chats.markdown import is_safe_link


def real_target(url: QUrl) -> str:
    """Return who a link really leads to: its host as sent on the wire, or the mail address."""
    if url.scheme().lower() == "mailto":
        return url.path()
    host = url.host(QUrl.ComponentFormattingOption.FullyEncoded)
    return f"{host}:{url.port()}" if url.port() != -1 else host


def open_link(parent: QWidget, url: QUrl) -> QMessageBox | None:
    """Ask before a link is opened; anything but http, https and mailto is never opened."""
    if not is_safe_link(url):
        return None
    box = QMessageBox(parent.window())
    box.setWindowTitle("Open link")
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setText(f"This link leads to {real_target(url)}.")
    address = url.toString(QUrl.ComponentFormattingOption.FullyEncoded)
    shown = address if len(address) <= 400 else f"{address[:400]}…"
    box.setInformativeText(f"{shown}\n\nIt was written by the model. Open it in your browser?")
    box.setIcon(QMessageBox.Icon.Question)
    opening = box.addButton("Open", QMessageBox.ButtonRole.AcceptRole)
    copying = box.addButton("Copy address", QMessageBox.ButtonRole.ActionRole)
    cancel = box.addButton("Cancel", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def chosen() -> None:
        if box.clickedButton() is opening:
            QDesktopServices.openUrl(url)
        elif box.clickedButton() is copying:
            QGuiApplication.clipboard().setText(address)

    box.finished.connect(chosen)
    box.open()
    return box
