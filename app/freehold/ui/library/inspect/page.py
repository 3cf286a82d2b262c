"""The page of one model's file: what it is, its tensors, its metadata, its chat template."""

from __future__ import annotations

import asyncio
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.library.inspect.overview import Overview
from freehold.ui.library.inspect.tables import MetadataView, TensorsView
from freehold.ui.library.inspect.template_view import TemplateView
from freehold.ui.library.words import joined
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import ElidedLabel, text_label
from freehold.units import format_bytes, format_count
from freehold.wire_files import ModelAnatomy, TensorRow

OVERVIEW: Final = "overview"
TENSORS: Final = "tensors"
METADATA: Final = "metadata"
TEMPLATE: Final = "template"
TABS: Final = (
    (OVERVIEW, "Overview"),
    (TENSORS, "Tensors"),
    (METADATA, "Metadata"),
    (TEMPLATE, "Chat template"),
)


class InspectPage(QWidget):
    """Signals: left: back to the list."""

    left = Signal()

    def __init__(self, session: Session, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._ref = ""
        self._task: asyncio.Task[None] | None = None
        self.setAccessibleName("Inspect a model")
        self.back = push_button(theme, "Back", self.left.emit, kind="quiet", icon="chevron-left")
        self.title = ElidedLabel("", "title")
        self.subtitle = ElidedLabel("", "muted")
        self.problem = text_label("", "danger", wrap=True)
        self.again = push_button(theme, "Try again", self.refresh)
        self.overview = Overview(theme)
        self.tensors = TensorsView()
        self.metadata = MetadataView()
        self.template = TemplateView(session, theme)
        self._views = dict(
            zip(
                (key for key, _ in TABS),
                (self.overview, self.tensors, self.metadata, self.template),
                strict=True,
            )
        )
        self._buttons: dict[str, QToolButton] = {}
        self._lay_out()
        self.go_to(OVERVIEW)

    @property
    def ref(self) -> str:
        """Return which model is shown."""
        return self._ref

    def open(self, ref: str, name: str) -> None:
        """Read a model's headers and show them."""
        self._ref = ref
        self.title.setText(name)
        self.go_to(OVERVIEW)
        self.refresh()

    def refresh(self) -> None:
        """Read the headers again."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self._show_parts(shown=False)
        self.problem.hide()
        self.again.hide()
        self.subtitle.setText("Reading its headers…")
        self._task = spawn(self, self._read(self._ref), failed=self._show_problem)

    def go_to(self, key: str) -> None:
        """Show one of the views."""
        self._pages.setCurrentWidget(self._views[key])
        for name, button in self._buttons.items():
            button.setChecked(name == key)

    def tab(self, key: str) -> QToolButton:
        """Return the button of a view."""
        return self._buttons[key]

    async def _read(self, ref: str) -> None:
        files = self._session.client.files
        anatomy, tensors = await asyncio.gather(files.anatomy(ref), files.tensors(ref))
        self._show(anatomy, tensors)

    def _show(self, anatomy: ModelAnatomy, tensors: tuple[TensorRow, ...]) -> None:
        self.title.setText(anatomy.name)
        size = anatomy.tensor_bytes + anatomy.header_bytes
        self.subtitle.setText(
            joined(
                anatomy.ref,
                format_bytes(size),
                f"{format_count(anatomy.parameters)} parameters",
                f"{anatomy.bits_per_weight:.2f} bits per weight",
            )
        )
        self.overview.show_anatomy(anatomy)
        self.tensors.show_tensors(tensors)
        self.metadata.show_rows(anatomy.metadata)
        self.template.show_anatomy(anatomy)
        self._show_parts(shown=True)

    def _show_problem(self, error: AppError) -> None:
        self.subtitle.setText(self._ref)
        self.problem.setText(error.sentence)
        self.problem.show()
        self.again.show()

    def _show_parts(self, *, shown: bool) -> None:
        self._pages.setVisible(shown)
        for button in self._buttons.values():
            button.setEnabled(shown)

    def _lay_out(self) -> None:
        tabs = QHBoxLayout()
        tabs.setSpacing(SIZES["space-half"])
        for key, text in TABS:
            button = QToolButton()
            button.setText(text)
            button.setCheckable(True)
            button.setProperty("tab", True)
            button.setAccessibleName(text)
            button.clicked.connect(lambda _checked=False, key=key: self.go_to(key))
            self._buttons[key] = button
            tabs.addWidget(button)
        tabs.addStretch(1)
        self._pages = QStackedWidget()
        for view in self._views.values():
            self._pages.addWidget(view)
        column = QVBoxLayout(self)
        side = SIZES["space-4"]
        column.setContentsMargins(side, SIZES["space-2"], side, 0)
        column.setSpacing(SIZES["space"])
        column.addWidget(self.back, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self.title)
        column.addWidget(self.subtitle)
        column.addWidget(self.problem)
        column.addWidget(self.again, 0, Qt.AlignmentFlag.AlignLeft)
        column.addLayout(tabs)
        column.addWidget(self._pages, 1)
        column.addStretch()
