"""What happens when the window is closed or Freehold is quit: the decisions and the questions."""

from __future__ import annotations

from typing import Literal

from PySide6.QtWidgets import QWidget

from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Answer, Choice, ask

Closing = Literal["hide", "explain", "quit", "strand"]
Quitting = Literal["leave", "stop", "ask"]

CANCEL = Choice("", "Cancel", "quiet")


def decide_closing(*, keep_running: bool, tray_usable: bool, explained: bool) -> Closing:
    """Return what closing the window does.

    "explain": hide, after saying so once; "strand": there is no tray to come back from, so ask.
    """
    if not keep_running:
        return "quit"
    if not tray_usable:
        return "strand"
    return "hide" if explained else "explain"


def decide_quitting(
    *, local: bool, connected: bool, keep_running: bool, running: int, asked: bool
) -> Quitting:
    """Return what quitting does to the server.

    `asked`: the person chose Quit by name, rather than closed the window with "keep running" off.
    """
    if not local or not connected:
        return "leave"
    if keep_running or running or asked:
        return "ask"
    return "stop"


async def explain_tray(theme: Theme, parent: QWidget) -> Answer:
    """Say once that closing keeps Freehold in the tray, with the other choice beside it."""
    return await ask(
        theme,
        parent,
        "Freehold keeps running in the tray",
        "Answers go on and other programs can still use your models. Open Freehold again from its"
        " tray icon; Quit is in the icon's menu. You can change this in Settings.",
        (Choice("quit", "Quit instead"), Choice("keep", "Keep running", "primary")),
    )


async def ask_without_tray(theme: Theme, parent: QWidget) -> Answer:
    """Ask what closing means on a desktop that shows no tray icons."""
    return await ask(
        theme,
        parent,
        "Close Freehold?",
        "This desktop shows no tray icons, so Freehold cannot wait there. The server can go on"
        " without a window: start Freehold again from your menu and everything is as it was.",
        (
            CANCEL,
            Choice("stop", "Stop the server too"),
            Choice("leave", "Leave the server running", "primary"),
        ),
    )


async def ask_quit(theme: Theme, parent: QWidget, running: int) -> Answer:
    """Ask whether the server stays when Freehold quits."""
    if running:
        count = "One answer is" if running == 1 else f"{running} answers are"
        under_way = f"{count} being written; stopping keeps what came so far. "
    else:
        under_way = ""
    return await ask(
        theme,
        parent,
        "Quit Freehold?",
        f"{under_way}The server can stay in the background, so that other programs can use your"
        " models; stopping it frees their memory.",
        (
            CANCEL,
            Choice("leave", "Leave the server running", "primary" if running else "plain"),
            Choice("stop", "Stop the server", "plain" if running else "primary"),
        ),
    )
