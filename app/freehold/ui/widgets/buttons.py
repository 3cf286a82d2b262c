"""Buttons with an icon, a name for screen readers and a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QPushButton, QToolButton, QWidget

from freehold.ui.icons import set_icon
from freehold.ui.theme import Theme

Kind = Literal["plain", "primary", "danger", "quiet"]
_ICON_TOKENS = {
    "plain": "text",
    "primary": "accent-text",
    "danger": "danger-text",
    "quiet": "text-muted",
}


def push_button(
    theme: Theme,
    text: str,
    clicked: Callable[[], object],
    *,
    kind: Kind = "plain",
    icon: str = "",
    parent: QWidget | None = None,
) -> QPushButton:
    """Return a button with a text."""
    button = QPushButton(f" {text}" if icon else text, parent)
    button.setAccessibleName(text.removesuffix("…"))
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    button.setProperty("kind", kind)
    button.setAutoDefault(False)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    if icon:
        set_icon(button, theme, icon, _ICON_TOKENS[kind])
        button.setIconSize(QSize(16, 16))
    button.clicked.connect(lambda _checked=False: clicked())
    return button


def icon_button(
    theme: Theme,
    icon: str,
    name: str,
    clicked: Callable[[], object] | None = None,
    *,
    tint: str = "text-muted",
    parent: QWidget | None = None,
) -> QToolButton:
    """Return a button that is an icon; `name` is its tool tip and its accessible name."""
    button = QToolButton(parent)
    button.setToolTip(name)
    button.setAccessibleName(name)
    button.setCursor(Qt.CursorShape.PointingHandCursor)
    # A click leaves the focus where the person types; the ring is for the keyboard.
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    set_icon(button, theme, icon, tint)
    if clicked is not None:
        button.clicked.connect(lambda _checked=False: clicked())
    return button
