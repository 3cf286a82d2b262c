"""The person's own folders with models: used in place, searched by themselves."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QVBoxLayout,
    QWidget,
)

from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import icon_button, push_button
from freehold.ui.widgets.labels import ElidedLabel, text_label

TEXT = (
    "Models in these folders, and in those below them, appear in the list by themselves. They are"
    " used where they lie: nothing is copied, changed or deleted. The models of Hugging Face, LM"
    " Studio, Ollama, Jan and llama.cpp are found without a folder being named here."
)


class FoldersDialog(QDialog):
    """Lists the folders, with ways to add and to remove one."""

    def __init__(
        self,
        session: Session,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._settings, self._theme = session, settings, theme
        self.setWindowTitle("Folders with models")
        self.setAccessibleName("Folders with models")
        self.setModal(True)
        self.setMinimumWidth(560)
        self._rows: list[QWidget] = []
        self._list = QVBoxLayout()
        self._list.setSpacing(SIZES["space-half"])
        self.add = push_button(theme, "Add a folder…", self.choose, icon="folder")
        done = push_button(theme, "Done", self.accept, kind="primary")
        row = QHBoxLayout()
        row.addWidget(self.add)
        row.addStretch(1)
        row.addWidget(done)
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label("Folders with models", "section"))
        column.addWidget(text_label(TEXT, "muted", wrap=True))
        column.addLayout(self._list)
        column.addLayout(row)
        settings.changed.connect(self._show)
        self._show()

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the folders in force."""
        return self._settings.values.model_folders

    def choose(self) -> None:
        """Let the person choose a folder of this machine, or name one of the server's."""
        if not self._session.is_local:
            asked = QInputDialog(self)
            asked.setWindowTitle("Add a folder")
            asked.setLabelText("Path of the folder on the server's machine:")
            asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
            asked.textValueSelected.connect(self.add_path)
            asked.open()
            return
        dialog = QFileDialog(self, "Add a folder with models")
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly, True)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.fileSelected.connect(self.add_path)
        dialog.open()

    def add_path(self, path: str) -> None:
        """Add a folder; one that is listed already stays as it is."""
        wanted = path.strip().rstrip("/") or "/"
        if path.strip() and wanted not in self.paths:
            self._settings.change(model_folders=(*self.paths, wanted))

    def remove_path(self, path: str) -> None:
        """Take a folder off the list; its files stay."""
        self._settings.change(model_folders=tuple(p for p in self.paths if p != path))

    def _show(self) -> None:
        for row in self._rows:
            row.hide()
            row.deleteLater()
        self._rows = []
        for path in self.paths:
            row = QWidget()
            inside = QHBoxLayout(row)
            inside.setContentsMargins(0, 0, 0, 0)
            name = ElidedLabel(path, mode=Qt.TextElideMode.ElideMiddle)
            inside.addWidget(name, 1)
            inside.addWidget(
                icon_button(self._theme, "close", f"Take {path} off the list", self._remover(path))
            )
            self._rows.append(row)
            self._list.addWidget(row)
        if not self.paths:
            none = text_label("No folder of your own yet.", "small")
            self._rows.append(none)
            self._list.addWidget(none)

    def _remover(self, path: str) -> Callable[[], None]:
        return lambda: self.remove_path(path)
