"""The Documents page: every document and collection on the server's machine."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from freehold.ui.state.session import Session
from freehold.ui.theme import Theme
from freehold.ui.widgets.scroll_page import ScrollPage


class DocumentsPage(ScrollPage):
    """Signals: said(text); chat_requested(document or collection); chat_opened(chat id)."""

    said = Signal(str)
    chat_requested = Signal(object)
    chat_opened = Signal(str)

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__("Documents", "", parent)
        self._session, self._theme = session, theme

    def add(self, paths: Sequence[str]) -> None:
        """Take in files and what is in folders."""
