"""The Settings page: every value takes effect at once, and says so when it cannot."""

from __future__ import annotations

import asyncio
from pathlib import Path

from PySide6.QtCore import QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QGuiApplication, QHideEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from freehold import __version__
from freehold.errors import AppError
from freehold.ui.settings import autostart
from freehold.ui.settings.fields import ChoiceBox, CopyField, NumberBox
from freehold.ui.state.models import ModelsState
from freehold.ui.state.session import Session
from freehold.ui.state.settings import SettingsState
from freehold.ui.tasks import spawn
from freehold.ui.theme import Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.cards import Card, KeyValue, SettingRow, rule, section_title
from freehold.ui.widgets.labels import text_label
from freehold.ui.widgets.scroll_page import ScrollPage
from freehold.ui.widgets.switch import Switch

THEMES = (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
TYPING_MS = 800


class SettingsPage(ScrollPage):
    """Signals: said(text): something was done, confirm it."""

    said = Signal(str)

    def __init__(
        self,
        session: Session,
        models: ModelsState,
        settings: SettingsState,
        theme: Theme,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("Settings", "Changes take effect at once.", parent)
        self._session, self._models, self._settings, self._theme = session, models, settings, theme
        self._rows: dict[str, SettingRow] = {}
        self._make_controls()
        self._lay_out()
        settings.changed.connect(self._show_values)
        settings.failed.connect(self._show_problem)
        settings.saved.connect(self._clear_problem)
        models.rows_changed.connect(self._show_models)
        session.state_changed.connect(self._show_server)
        session.connected.connect(self._ask_key)
        self._show_models()
        self._show_values()
        self._show_server()
        spawn(self, self._read_autostart(), name="read autostart")
        self._ask_key()

    # --- controls ------------------------------------------------------------------------

    def _make_controls(self) -> None:
        change, theme = self._settings.change, self._theme
        self.theme_box = ChoiceBox(theme, "Theme", self._choose_theme)
        self.theme_box.offer(THEMES)
        self.default_model = ChoiceBox(
            theme, "Default model", lambda v: change(default_model_ref=v)
        )
        self.prompt = QPlainTextEdit()
        self.prompt.setAccessibleName("Default system prompt")
        self.prompt.setPlaceholderText("For example: Answer briefly and in plain words.")
        self.prompt.setTabChangesFocus(True)
        self.prompt.setFixedHeight(96)
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._save_prompt)
        self.prompt.textChanged.connect(self._typing.start)
        self.idle = NumberBox(
            "Unload after minutes without use", 0, 1440, lambda v: change(idle_unload_minutes=v)
        )
        self.idle.setSpecialValueText("Never")
        self.idle.setSuffix(" min")
        self.keep = Switch(theme, "Keep running when the window is closed")
        self.keep.clicked.connect(lambda on: change(keep_running_when_closed=on))
        self.login = Switch(theme, "Start at login")
        self.login.clicked.connect(lambda on: spawn(self, self._set_autostart(on)))
        self.port = NumberBox("Port", 1024, 65535, lambda v: change(port=v))
        self.port.setGroupSeparatorShown(False)
        self.api = Switch(theme, "Let other programs use your models")
        self.api.clicked.connect(lambda on: change(api_enabled=on))
        self.url = CopyField(theme, "the base URL", self._copy)
        self.key = CopyField(theme, "the API key", self._copy, secret=True)

    def _lay_out(self) -> None:
        self._card(
            "Appearance",
            self._row(
                "theme", "Theme", "Light, dark, or whatever the system shows.", self.theme_box
            ),
        )
        chats = self._card(
            "Chats",
            self._row(
                "default_model_ref",
                "Default model",
                "New chats begin with this model.",
                self.default_model,
            ),
        )
        chats.body.addWidget(rule())
        chats.body.addWidget(text_label("Default system prompt", "strong"))
        chats.body.addWidget(
            text_label("Sent before every new chat; a chat can have its own.", "small", wrap=True)
        )
        chats.body.addWidget(self.prompt)
        self._card(
            "Background",
            self._row(
                "keep_running_when_closed",
                "Keep running when the window is closed",
                "Answers go on and other programs can use your models; Quit is in the tray.",
                self.keep,
            ),
            self._row(
                "start_at_login",
                "Start at login",
                "Opens in the tray, without the window.",
                self.login,
            ),
            self._row(
                "idle_unload_minutes",
                "Unload an idle model after",
                "Frees its memory when nothing has used it for so long; 0 keeps it loaded.",
                self.idle,
            ),
        )
        self._card(
            "Other programs",
            self._row(
                "api_enabled",
                "Let other programs use your models",
                "Editors and scripts on this machine, through an OpenAI-compatible address.",
                self.api,
            ),
            self._row("", "Base URL", "Where the program asks for an OpenAI base URL.", self.url),
            self._row(
                "", "API key", "Whoever has it can use your models. It stays here.", self.key
            ),
            self._row("port", "Port", "Used from the next start of the server.", self.port),
        )
        self._about()

    def _row(self, name: str, title: str, hint: str, control: QWidget) -> SettingRow:
        row = SettingRow(title, hint, control)
        if name:
            self._rows[name] = row
        return row

    def _card(self, title: str, *rows: SettingRow) -> Card:
        self.column.addWidget(section_title(title))
        card = Card()
        for number, row in enumerate(rows):
            if number:
                card.body.addWidget(rule())
            card.body.addWidget(row)
        self.column.addWidget(card)
        return card

    def _about(self) -> None:
        self.column.addWidget(section_title("About"))
        card = Card()
        self.facts = KeyValue()
        card.body.addWidget(self.facts)
        self.open_folder = push_button(
            self._theme, "Open data folder", self._open_folder, icon="folder"
        )
        row = SettingRow("Your data", "Chats, settings and downloaded models.", self.open_folder)
        card.body.addWidget(rule())
        card.body.addWidget(row)
        self.column.addWidget(card)
        self.column.addStretch(1)

    # --- showing -------------------------------------------------------------------------

    def _show_values(self) -> None:
        values = self._settings.values
        self.theme_box.show_value(values.theme)
        self.default_model.show_value(values.default_model_ref)
        self.idle.show_value(values.idle_unload_minutes)
        self.keep.setChecked(values.keep_running_when_closed)
        self.port.show_value(values.port)
        self.api.setChecked(values.api_enabled)
        if not self.prompt.hasFocus() and self.prompt.toPlainText() != values.default_system_prompt:
            self.prompt.setPlainText(values.default_system_prompt)
            self._typing.stop()

    def _show_models(self) -> None:
        usable = [row for row in self._models.rows if row.entry.kind == "chat"]
        choices = [("", "The last one used"), *((row.ref, row.entry.name) for row in usable)]
        self.default_model.offer(choices)
        self.default_model.show_value(self._settings.values.default_model_ref)

    def _show_server(self) -> None:
        server = self._session.server
        self.url.show_value(f"{server.base_url}/v1" if server else "")
        self.facts.set("Freehold", __version__)
        self.facts.set("Server", f"{server.version} on {server.hostname}" if server else "…")
        self.facts.set("Engine", server.backend if server else "…")
        self.facts.set("Data folder", server.data_folder if server else "…")
        self.facts.set("Licence", "Apache-2.0")
        self.open_folder.setEnabled(server is not None and self._session.is_local)

    def _show_problem(self, names: tuple[str, ...], error: AppError) -> None:
        values = self._settings.values
        self.port.setValue(values.port)
        self.idle.setValue(values.idle_unload_minutes)
        for name in names:
            if name in self._rows:
                self._rows[name].show_problem(error.sentence)
                return
        self._session.show_error(error)

    def _clear_problem(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self._rows:
                self._rows[name].show_problem("")

    # --- acting --------------------------------------------------------------------------

    def _choose_theme(self, value: str) -> None:
        self._settings.change(theme=value)

    def _save_prompt(self) -> None:
        self._settings.change(default_system_prompt=self.prompt.toPlainText())

    def hideEvent(self, event: QHideEvent) -> None:
        if self._typing.isActive():
            self._typing.stop()
            self._save_prompt()
        super().hideEvent(event)

    def _copy(self, text: str) -> None:
        QGuiApplication.clipboard().setText(text)
        self.said.emit("Copied.")

    def _ask_key(self) -> None:
        if self._session.is_connected:
            spawn(self, self._read_key(), name="read the key", failed=lambda _error: None)

    async def _read_key(self) -> None:
        self.key.show_value(await self._session.client.api_key())

    def _open_folder(self) -> None:
        server = self._session.server
        if server is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(server.data_folder))

    async def _read_autostart(self) -> None:
        self.login.setChecked(await asyncio.to_thread(autostart.is_enabled))

    async def _set_autostart(self, wanted: bool) -> None:
        path: Path = autostart.entry_path()
        try:
            await asyncio.to_thread(autostart.enable if wanted else autostart.disable, path)
        except OSError as error:
            self.login.setChecked(not wanted)
            self._rows["start_at_login"].show_problem(
                f"{path} cannot be changed: {error.strerror}. Check who owns that folder."
            )
            return
        self._rows["start_at_login"].show_problem("")
        self._settings.change(start_at_login=wanted)
