"""Models that are here more than once, and what deleting a copy frees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.library.model_card import ORIGINS
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.units import format_bytes
from freehold.wire_files import DuplicateGroup, Duplicates, ModelCopy

OWN: Final = ("downloaded", "made", "imported")
LOOK_MS: Final = 1000


class DuplicatesDialog(QDialog):
    """Reads the list when it opens, and again while files are still being compared."""

    def __init__(
        self,
        session: Session,
        theme: Theme,
        remove: Callable[[str], object],
        parent: QWidget | None = None,
    ) -> None:
        """Make the dialog; remove: asks the person and removes a model by its ref."""
        super().__init__(parent)
        self._session, self._theme, self._remove = session, theme, remove
        self.setWindowTitle("Duplicates")
        self.setAccessibleName("Models that are here more than once")
        self.setModal(True)
        self.resize(680, 480)
        self.words = text_label("Comparing…", "muted", wrap=True)
        self.buttons: dict[str, QWidget] = {}
        inside = QWidget()
        inside.setProperty("page", True)
        self._list = QVBoxLayout(inside)
        self._list.setSpacing(SIZES["space"])
        self._list.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(inside)
        done = push_button(theme, "Done", self.accept, kind="primary")
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label("Models that are here more than once", "section"))
        column.addWidget(self.words)
        column.addWidget(area, 1)
        column.addWidget(done, 0, Qt.AlignmentFlag.AlignRight)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(LOOK_MS)
        self._later.timeout.connect(self.refresh)
        session.models_changed.connect(self._refresh_if_shown)
        self._shown: Duplicates | None = None

    def look(self) -> None:
        """Open and begin to compare."""
        self.open()
        self.refresh()

    def refresh(self) -> None:
        """Read the list again."""
        spawn(self, self._read(), failed=self._show_problem)

    async def _read(self) -> None:
        found = await self._session.client.files.duplicates()
        self._show(found)
        if found.left_bytes and self.isVisible():
            self._later.start()

    def _refresh_if_shown(self) -> None:
        if self.isVisible():
            self.refresh()

    def _show_problem(self, error: AppError) -> None:
        self.words.setText(error.sentence)

    def _show(self, found: Duplicates) -> None:
        if found == self._shown:
            return
        if self._shown is None or found.groups != self._shown.groups:
            self._fill(found.groups)
        self._shown = found
        self.words.setText(duplicate_words(found))

    def _fill(self, groups: tuple[DuplicateGroup, ...]) -> None:
        while self._list.count() > 1:
            item = self._list.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = {}
        for place, found in enumerate(groups):
            card = Card()
            card.body.addWidget(
                text_label(f"{format_bytes(found.bytes)}, {len(found.copies)} times", "strong")
            )
            for copy in found.copies:
                card.body.addWidget(self._row(copy))
            self._list.insertWidget(place, card)

    def _row(self, copy: ModelCopy) -> QWidget:
        line = QWidget()
        row = QHBoxLayout(line)
        row.setContentsMargins(0, 0, 0, 0)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(ElidedLabel(copy.ref))
        origin = ORIGINS.get(copy.origin, copy.origin)
        words.addWidget(
            ElidedLabel(f"{origin} · {copy.path}", "small", mode=Qt.TextElideMode.ElideMiddle)
        )
        words.addWidget(text_label(gain_words(copy), "small"))
        row.addLayout(words, 1)
        if copy.origin in OWN:
            button = push_button(self._theme, "Remove…", lambda: self._remove(copy.ref))
            button.setAccessibleName(f"Remove {copy.ref}")
            self.buttons[copy.ref] = button
            row.addWidget(button, 0, Qt.AlignmentFlag.AlignVCenter)
        return line


def gain_words(copy: ModelCopy) -> str:
    """Return what deleting a copy frees, and who may delete it."""
    if not copy.frees:
        return "A link to another copy: deleting it frees nothing."
    freed = f"Deleting its files frees {format_bytes(copy.frees)}."
    if copy.origin in ("downloaded", "made"):
        return freed
    if copy.origin == "imported":
        return f"{freed} Freehold did not put them there: delete them in your file manager."
    return f"{freed} They belong to {copy.origin}: delete the model there."


def duplicate_words(found: Duplicates) -> str:
    """Return the sum of it."""
    if found.left_bytes:
        return f"Comparing: {format_bytes(found.left_bytes)} are still to be read."
    if not found.groups:
        return "No model is here more than once. Files of the same size were compared by SHA-256."
    twice = sum(sum(c.frees for c in g.copies) - g.bytes for g in found.groups)
    return f"{format_bytes(max(0, twice))} are taken more than once (compared by SHA-256)."
