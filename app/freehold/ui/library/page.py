"""The Models page: the models on the server's machine, and a way to add one."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QInputDialog,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from freehold.errors import AppError
from freehold.ui.library.model_card import ModelActions, ModelCard
from freehold.ui.library.quantise_dialog import QuantiseDialog
from freehold.ui.machine.load_dialog import LoadDialog
from freehold.ui.state.gathering import is_model
from freehold.ui.state.models import ModelRow, ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.banner import BannerStack
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.empty_state import EmptyState
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.question import Choice, ask
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.ui.widgets.virtual_column import VirtualColumn
from freehold.units import format_bytes
from freehold.wire import LoadRequest
from freehold.wire_files import ConvertRequest

TEACHING = (
    "A model is one file whose name ends in .gguf, or a set of numbered parts. Choose one you"
    " have, or drop it here. It is used where it lies; nothing is copied or uploaded."
)

# What is left when a model's GPU is gone; shares and pins of GPUs go with it.
ON_CPU = LoadRequest(devices=(), gpu_layers=-1, tensor_split=())


class ModelsPage(QWidget):
    """Signals: chat_requested(ref): begin a chat with that model; said(text): done, confirm it;
    find_requested: the person wants to look on the hub; inspect_requested(ref)."""

    find_requested = Signal()
    inspect_requested = Signal(str)
    chat_requested = Signal(str)
    said = Signal(str)

    def __init__(
        self,
        session: Session,
        models: ModelsState,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._models = session, models
        self._settings, self._theme = settings, theme
        self.setAcceptDrops(True)
        self.setAccessibleName("Models")
        self._actions = ModelActions(
            load=self._load,
            load_with=self._load_with,
            unload=lambda ref: spawn(self, models.unload(ref)),
            chat=self.chat_requested.emit,
            make_default=self._make_default,
            remove=self.remove,
            copy_path=self._copy_path,
            bring=self.choose_file,
            inspect=self.inspect_requested.emit,
            quantise=self._quantise,
        )
        self.problems = BannerStack(theme)
        self.list = ScrollPage("Models")
        self.import_button = push_button(
            theme, "Import a GGUF file…", self.choose_file, kind="primary", icon="plus"
        )
        self.convert_button = push_button(theme, "Convert…", self.choose_checkpoint, kind="quiet")
        self.convert_button.setToolTip("Make a GGUF from a folder with safetensors")
        self.list.head_buttons.addWidget(self.convert_button)
        self.list.head_buttons.addWidget(self.import_button)
        self.cards: VirtualColumn[ModelCard] = VirtualColumn(
            self.list, self._make_card, self._fill_card
        )
        self.list.column.addWidget(self.cards)
        self.list.column.addStretch(1)
        first = push_button(
            theme, "Import a GGUF file…", self.choose_file, kind="primary", icon="plus"
        )
        find = push_button(theme, "Find models", self.find_requested.emit, icon="search")
        self.empty = EmptyState(theme, "models", "No models yet", TEACHING, (first, find))
        self.waiting = EmptyState(
            theme, "models", "Looking for your models…", "The server is starting."
        )
        self.drop_hint = self._make_drop_hint()
        self._lay_out()
        models.rows_changed.connect(self._rebuild)
        models.row_changed.connect(self._refresh)
        models.known_changed.connect(self._rebuild)
        self._rebuild()

    # --- importing -----------------------------------------------------------------------

    def choose_file(self) -> None:
        """Let the person choose a file of this machine, or name one of the server's."""
        if not self._session.is_local:
            self._ask_remote_path()
            return
        dialog = QFileDialog(self, "Import a GGUF file")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters(["Model files (*.gguf)", "All files (*)"])
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.filesSelected.connect(self.import_files)
        dialog.open()

    def import_files(self, paths: list[str]) -> None:
        """Add files one after another; each that fails says why on its own."""
        spawn(self, self._import(list(paths)), name="import")

    async def _import(self, paths: list[str]) -> None:
        for path in paths:
            try:
                entry = await self._models.import_file(path)
            except AppError as error:
                self._show_import_problem(path, error)
            else:
                self.problems.take(path)
                self.said.emit(f"{entry.name} added ({format_bytes(entry.bytes)}).")

    def _show_import_problem(self, path: str, error: AppError) -> None:
        name = path.rpartition("/")[2] or path
        self.problems.put(path, "error", f"{name} was not added. {error.message}", error.hint)

    def _ask_remote_path(self) -> None:
        server = self._session.server
        host = server.hostname if server else "the server"
        dialog = QInputDialog(self)
        dialog.setWindowTitle("Import a GGUF file")
        dialog.setLabelText(f"Path of the .gguf file on {host}:")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        dialog.textValueSelected.connect(lambda path: self.import_files([path]))
        dialog.open()

    def choose_checkpoint(self) -> None:
        """Let the person choose a checkpoint's folder, here or on the server."""
        if self._session.is_local:
            dialog = QFileDialog(self, "Convert a checkpoint: the folder with its safetensors")
            dialog.setFileMode(QFileDialog.FileMode.Directory)
            dialog.setOption(QFileDialog.Option.ShowDirsOnly, True)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
            dialog.fileSelected.connect(self.convert)
            dialog.open()
            return
        asked = QInputDialog(self)
        asked.setWindowTitle("Convert a checkpoint")
        asked.setLabelText("Path of the folder on the server's machine:")
        asked.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
        asked.textValueSelected.connect(self.convert)
        asked.open()

    def convert(self, folder: str) -> None:
        """Begin to convert a checkpoint; progress is shown below the list."""

        def failed(error: AppError) -> None:
            self.problems.put(folder, "error", f"{error.message}", error.hint)

        self.problems.take(folder)
        request = ConvertRequest(folder=folder.strip())
        spawn(self, self._session.client.files.convert(request), name="convert", failed=failed)

    # --- dropping ------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        files = dropped_files(event.mimeData())
        if self._session.is_local and files and all(is_model(file) for file in files):
            event.acceptProposedAction()
            self.drop_hint.show()
            self.drop_hint.raise_()
        else:
            event.ignore()  # the window takes documents, wherever they are dropped

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_hint.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_hint.hide()
        files = dropped_files(event.mimeData())
        if files:
            event.acceptProposedAction()
            self.import_files(files)

    # --- actions -------------------------------------------------------------------------

    def card(self, ref: str) -> ModelCard:
        """Return the card of a model."""
        return self.cards.card(ref)

    def _make_card(self, ref: str) -> ModelCard:
        row = self._models.row(ref)
        assert row is not None
        return ModelCard(self._theme, row, self._actions)

    def _fill_card(self, card: ModelCard, ref: str) -> None:
        row = self._models.row(ref)
        if row is not None:
            card.show_row(row)

    def _load(self, ref: str) -> None:
        row = self._models.row(ref)
        request = ON_CPU if row is not None and row.falls_back else None
        spawn(self, self._models.load(ref, request))

    def _load_with(self, ref: str) -> None:
        row = self._models.row(ref)
        if row is not None:
            LoadDialog(
                self._session,
                row,
                self._theme,
                lambda ref, request: spawn(self, self._models.load(ref, request)),
                self,
            ).open()

    def _quantise(self, ref: str) -> None:
        row = self._models.row(ref)
        if row is not None:
            dialog = QuantiseDialog(self._theme, self._session, row.entry, self)
            dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, True)
            dialog.open()

    def _make_default(self, ref: str) -> None:
        self._settings.change(default_model_ref=ref)

    def _copy_path(self, ref: str) -> None:
        row = self._models.row(ref)
        if row is not None:
            QGuiApplication.clipboard().setText(row.entry.path)
            self.said.emit("Path copied.")

    def remove(self, ref: str) -> None:
        """Ask, and remove a model."""
        spawn(self, self._remove(ref))

    async def _remove(self, ref: str) -> None:
        row = self._models.row(ref)
        if row is None:
            return
        answer = await ask(self._theme, self, f"Remove {row.entry.name}?", *removal_question(row))
        if answer.key not in ("remove", "delete"):
            return
        freed = await self._models.remove(ref, delete_files=answer.key == "delete")
        result = f"{format_bytes(freed)} freed." if freed else "Its files stay where they are."
        self.said.emit(f"{row.entry.name} removed. {result}")

    # --- showing -------------------------------------------------------------------------

    def _rebuild(self) -> None:
        rows = self._models.rows
        self.cards.show_keys([row.ref for row in rows])
        self._show_summary(rows)
        if not self._models.is_known:
            self._pages.setCurrentWidget(self.waiting)
        else:
            self._pages.setCurrentWidget(self.list if rows else self.empty)

    def _refresh(self, ref: str) -> None:
        self.cards.refresh(ref)
        self._show_summary(self._models.rows)

    def _show_summary(self, rows: tuple[ModelRow, ...]) -> None:
        total = format_bytes(sum(row.entry.bytes for row in rows))
        count = f"{len(rows)} model" + ("s" if len(rows) != 1 else "")
        server = self._session.server
        free = f" · {format_bytes(server.data_bytes_free)} free" if server else ""
        place = "" if self._session.is_local or server is None else f" on {server.hostname}"
        self.list.say(f"{count}{place} · {total} on disk{free}")

    def _lay_out(self) -> None:
        area = QWidget()
        self._pages = QStackedLayout(area)
        for page in (self.waiting, self.empty, self.list):
            self._pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.problems)
        column.addWidget(area, 1)

    def _make_drop_hint(self) -> QFrame:
        hint = QFrame(self)
        hint.setProperty("drop", True)
        inside = QVBoxLayout(hint)
        words = text_label("Drop a GGUF file to add it", "section")
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        inside.addWidget(words)
        hint.hide()
        return hint

    def resizeEvent(self, event: object) -> None:
        self.drop_hint.setGeometry(self.rect().adjusted(16, 16, -16, -16))
        super().resizeEvent(event)  # type: ignore[arg-type]


def dropped_files(data: QMimeData) -> list[str]:
    """Return the local files of a drag, in order."""
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]


def removal_question(row: ModelRow) -> tuple[str, tuple[Choice, ...]]:
    """Return what to ask before a model is removed: bytes freed, or that files stay."""
    size = format_bytes(row.entry.bytes)
    loaded = " It is unloaded first." if row.condition in ("loading", "loaded") else ""
    cancel = Choice("cancel", "Cancel", "quiet")
    if row.entry.origin in ("downloaded", "made"):
        put = "downloaded" if row.entry.origin == "downloaded" else "made"
        return (
            f"Freehold {put} this model, so its files can go too: that frees {size} on disk."
            f"{loaded}",
            (
                cancel,
                Choice("remove", "Keep the files"),
                Choice("delete", f"Delete {size}", "danger"),
            ),
        )
    return (
        f"It disappears from the list. Its files ({size}) stay where they are, because Freehold"
        f" did not put them there.{loaded}\n\n{row.entry.path}",
        (cancel, Choice("remove", "Remove from the list", "primary")),
    )
