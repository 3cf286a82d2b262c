"""Asking for the person's token of the hub; it is sent to the server and not kept in the window."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from freehold.errors import AppError
from freehold.ui.state.session import Session
from freehold.ui.tasks import spawn
from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.buttons import push_button
from freehold.ui.widgets.labels import text_label
from freehold.wire_library import HubAccount

TOKENS_PAGE = "https://huggingface.co/settings/tokens"
TEXT = (
    "Some models are open only to people who have signed in and accepted their licence. Make a"
    " token with the right to read, and paste it here. It is kept in your system's key ring, or in"
    " a file only you can read where there is none, and is sent to the hub alone."
)


class TokenDialog(QDialog):
    """A field for the token; it closes once the hub knows the token."""

    def __init__(self, theme: Theme, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.account: HubAccount | None = None
        self.setWindowTitle("Your token of the hub")
        self.setModal(True)
        self.setMinimumWidth(500)
        self.setAccessibleName("Your token of the hub")
        self.kept = text_label("", "small", wrap=True)
        self.kept.hide()
        self.remove = push_button(theme, "Remove it", self._remove, kind="quiet")
        self.remove.hide()
        self.field = QLineEdit()
        self.field.setEchoMode(QLineEdit.EchoMode.Password)
        self.field.setPlaceholderText("hf_…")
        self.field.setAccessibleName("Token")
        self.problem = text_label("", "danger", wrap=True)
        self.problem.hide()
        page = push_button(
            theme,
            "Make a token",
            lambda: QDesktopServices.openUrl(QUrl(TOKENS_PAGE)),
            kind="quiet",
            icon="link",
        )
        cancel = push_button(theme, "Cancel", self.reject)
        self.save = push_button(theme, "Save", self._save, kind="primary")
        self.field.returnPressed.connect(self.save.click)
        row = QHBoxLayout()
        row.setSpacing(SIZES["space"])
        row.addWidget(page)
        row.addWidget(self.remove)
        row.addStretch(1)
        row.addWidget(cancel)
        row.addWidget(self.save)
        column = QVBoxLayout(self)
        space = SIZES["space-3"]
        column.setContentsMargins(space, space, space, space)
        column.setSpacing(SIZES["space-2"])
        column.addWidget(text_label("Your token of the hub", "section"))
        column.addWidget(text_label(TEXT, "muted", wrap=True))
        column.addWidget(self.kept)
        column.addWidget(self.field)
        column.addWidget(self.problem)
        column.addLayout(row)

    def show_account(self, account: HubAccount) -> None:
        """Show whose token is in force, where it is kept, and a way to remove it."""
        self.kept.setText(account_words(account))
        self.kept.show()
        self.remove.setVisible(account.kept_in in ("keyring", "file"))
        if account.kept_in == "environment":
            self.field.setEnabled(False)
            self.save.setEnabled(False)

    def show_error(self, error: AppError) -> None:
        """Show why the token was not taken."""
        self.problem.setText(error.sentence)
        self.problem.show()
        self.save.setEnabled(True)

    def _save(self) -> None:
        self.save.setEnabled(False)
        spawn(self, self._send(self.field.text()), name="save token")

    def _remove(self) -> None:
        spawn(self, self._forget(), name="remove token")

    async def _forget(self) -> None:
        self.account = await self._session.client.save_hub_token("")
        self.accept()

    async def _send(self, token: str) -> None:
        if not token.strip():
            raise AppError("invalid_request", "No token was given.", "Paste it into the field.")
        self.account = await self._session.client.save_hub_token(token)
        self.accept()


def account_words(account: HubAccount) -> str:
    """Return whose token is in force and where it is kept."""
    place = {
        "environment": "It comes from HF_TOKEN and is changed there.",
        "keyring": "It is kept in your system's key ring.",
        "file": "There is no key ring here: it is kept in a file that only you can read.",
        "none": "",
    }[account.kept_in]
    if account.kept_in == "none":
        return "No token is kept."
    known = f"The hub knows you as {account.name}." if account.name else "A token is kept."
    return f"{known} {place}"


async def ask_token(
    theme: Theme, parent: QWidget, session: Session, account: HubAccount | None = None
) -> HubAccount | None:
    """Ask for the token over `parent`; return the account, None when nothing was changed.

    account: the one in force, shown with a way to remove it.
    """
    dialog = TokenDialog(theme, session, parent)
    if account is not None:
        dialog.show_account(account)
    closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finished(_result: int) -> None:
        if not closed.done():
            closed.set_result(None)

    dialog.finished.connect(finished)
    dialog.open()
    try:
        await closed
        return dialog.account
    finally:
        dialog.deleteLater()
