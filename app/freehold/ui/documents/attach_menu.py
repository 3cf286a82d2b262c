"""What the paper clip offers: files, a folder, and the collections and documents that are here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from PySide6.QtWidgets import QMenu, QWidget

from freehold.ui.documents.words import icon_of
from freehold.ui.icons import themed_icon
from freehold.ui.theme import Theme
from freehold.wire_documents import Collection, DocumentInfo

MOST_DOCUMENTS: Final = 20
MOST_TITLE: Final = 60


class AttachMenu(QMenu):
    """A menu at the paper clip; `attach` is called with what is chosen of what is here."""

    def __init__(
        self,
        theme: Theme,
        *,
        files: Callable[[], object],
        folder: Callable[[], object],
        attach: Callable[[object], object],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._theme, self._attach = theme, attach
        self.addAction(themed_icon(theme, "file"), "Files…").triggered.connect(
            lambda _checked=False: files()
        )
        self.addAction(themed_icon(theme, "folder"), "A folder…").triggered.connect(
            lambda _checked=False: folder()
        )
        self.collections = self._part("A collection", "folder")
        self.documents = self._part("A document that is here", "documents")

    def _part(self, title: str, icon: str) -> QMenu:
        part = self.addMenu(themed_icon(self._theme, icon), title)
        part.menuAction().setVisible(False)
        return part

    def show_known(
        self, collections: Sequence[Collection], documents: Sequence[DocumentInfo]
    ) -> None:
        """Offer what is here."""
        self._fill(self.collections, [(c.name, "collection", c) for c in collections])
        ready = [d for d in documents if d.phase == "ready"][:MOST_DOCUMENTS]
        self._fill(self.documents, [(d.name, d.kind, d) for d in ready])

    def _fill(self, part: QMenu, items: Sequence[tuple[str, str, object]]) -> None:
        part.clear()
        part.menuAction().setVisible(bool(items))
        for name, kind, item in items:
            title = name if len(name) <= MOST_TITLE else f"{name[: MOST_TITLE - 1]}…"
            action = part.addAction(
                themed_icon(self._theme, icon_of(kind, name)), title.replace("&", "&&")
            )
            action.triggered.connect(partial(self._chosen, item))

    def _chosen(self, item: object, _checked: bool = False) -> None:
        self._attach(item)
