"""Making and changing a collection: its name, its files and the folders that are watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QListWidget,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label
from freehold.wire_documents import Collection, CollectionFile

Done = Callable[[str, tuple[str, ...]], object]


class CollectionDialog(QDialog):
    """Asks for a name and sources; `done_with(name, sources)` is called when they are given."""

    def __init__(
        self,
        theme: Theme,
        collection: Collection | None,
        done_with: Done,
        *,
        is_local: bool,
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        self._done_with, self._is_local = done_with, is_local
        title = "New collection" if collection is None else f"Collection {collection.name}"
        self.setWindowTitle(title)
        self.setModal(True)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        self.setMinimumWidth(560)
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space"])
        column.addWidget(text_label(title, "section", wrap=True))
        column.addWidget(
            text_label(
                "Folders are watched: files that come, change or go are read again in the"
                " background. The files stay where they are.",
                "muted",
                wrap=True,
            )
        )
        self.name = QLineEdit(collection.name if collection is not None else "")
        self.name.setPlaceholderText("Name, such as “Contracts”")
        self.name.setAccessibleName("Name of the collection")
        self.name.setMaxLength(120)
        column.addWidget(self.name)
        self.sources = QListWidget()
        self.sources.setAccessibleName("Files and folders")
        self.sources.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.sources.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.sources.setMinimumHeight(150)
        if collection is not None:
            self.sources.addItems(list(collection.sources))
        column.addWidget(self.sources)
        self._add_buttons(theme, column, "Create" if collection is None else "Save")
        self.name.textChanged.connect(self._refresh)
        self.sources.itemSelectionChanged.connect(self._refresh)
        self._refresh()
        self.name.setFocus()

    def _add_buttons(self, theme: Theme, column: QVBoxLayout, save: str) -> None:
        row = QHBoxLayout()
        self.folder_button = push_button(theme, "Add a folder…", self._add_folder, icon="folder")
        self.files_button = push_button(theme, "Add files…", self._add_files, icon="file")
        self.take_button = push_button(theme, "Take away", self._take_away)
        for button in (self.folder_button, self.files_button, self.take_button):
            row.addWidget(button)
        row.addStretch()
        column.addLayout(row)
        column.addSpacing(SIZES["space-2"])
        foot = QHBoxLayout()
        foot.addStretch()
        foot.addWidget(push_button(theme, "Cancel", self.reject, kind="quiet"))
        self.save_button = push_button(theme, save, self._save, kind="primary")
        foot.addWidget(self.save_button)
        column.addLayout(foot)

    def add(self, paths: Sequence[str]) -> None:
        """Put files or folders on the list."""
        known = set(self.paths())
        self.sources.addItems([path for path in paths if path and path not in known])
        if not self.name.text().strip() and paths:
            self.name.setText(paths[0].rstrip("/").rpartition("/")[2])

    def paths(self) -> tuple[str, ...]:
        """Return what is on the list."""
        return tuple(self.sources.item(i).text() for i in range(self.sources.count()))

    def _add_folder(self) -> None:
        self._choose(QFileDialog.FileMode.Directory, "Add a folder")

    def _add_files(self) -> None:
        self._choose(QFileDialog.FileMode.ExistingFiles, "Add files")

    def _choose(self, mode: QFileDialog.FileMode, title: str) -> None:
        if not self._is_local:
            ask = QInputDialog(self)
            ask.setWindowTitle(title)
            ask.setLabelText("Full path on the server's machine:")
            ask.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
            ask.textValueSelected.connect(lambda path: self.add([path.strip()]))
            ask.open()
            return
        dialog = QFileDialog(self, title)
        dialog.setFileMode(mode)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, mode == QFileDialog.FileMode.Directory)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.filesSelected.connect(self.add)
        dialog.open()

    def _take_away(self) -> None:
        for item in self.sources.selectedItems():
            self.sources.takeItem(self.sources.row(item))
        self._refresh()

    def _refresh(self) -> None:
        self.save_button.setEnabled(bool(self.name.text().strip()))
        self.take_button.setEnabled(bool(self.sources.selectedItems()))

    def _save(self) -> None:
        self._done_with(self.name.text().strip(), self.paths())
        self.accept()


class FilesDialog(QDialog):
    """The files of a collection, those that could not be read first, each with its reason."""

    def __init__(
        self, theme: Theme, name: str, files: Sequence[CollectionFile], parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Files of {name}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        self.resize(640, 460)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.addWidget(text_label(f"Files of {name}", "section", wrap=True))
        self.list = QListWidget()
        self.list.setAccessibleName("Files")
        self.list.setWordWrap(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        for file in files:
            self.list.addItem(file_words(file))
        if not files:
            self.list.addItem("There are no files in it yet.")
        column.addWidget(self.list, 1)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(push_button(theme, "Close", self.accept, kind="primary"))
        column.addLayout(row)


def file_words(file: CollectionFile) -> str:
    """Return a file of a collection and what became of it."""
    if file.error is not None:
        return f"{file.path}\n{file.error.message} {file.error.hint}".strip()
    return f"{file.path}\n{'Waiting' if file.phase == 'waiting' else 'Ready'}"
