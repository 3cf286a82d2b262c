"""The icon set: one SVG each, recoloured for the theme in force."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from PySide6.QtCore import QByteArray, QObject, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QAbstractButton

from freehold.paths import resources
from freehold.ui.theme import Theme

RATIOS: Final = (1, 2, 3)


@lru_cache(maxsize=128)
def _source(name: str) -> str:
    return (resources() / "icons" / "ui" / f"{name}.svg").read_text(encoding="utf-8")


def pixmap(name: str, color: str, size: int, ratio: float = 1.0) -> QPixmap:
    """Return an icon in one colour (`#rrggbb`) at `size` pixels for a screen of `ratio`."""
    renderer = QSvgRenderer(QByteArray(_source(name).replace("currentColor", color).encode()))
    drawn = QPixmap(QSize(round(size * ratio), round(size * ratio)))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    renderer.render(painter)
    painter.end()
    drawn.setDevicePixelRatio(ratio)
    return drawn


@lru_cache(maxsize=512)
def _icon(name: str, normal: str, chosen: str, disabled: str) -> QIcon:
    icon = QIcon()
    for size in (16, 20, 24, 32):
        for ratio in RATIOS:
            icon.addPixmap(pixmap(name, normal, size, ratio), QIcon.Mode.Normal, QIcon.State.Off)
            icon.addPixmap(pixmap(name, chosen, size, ratio), QIcon.Mode.Normal, QIcon.State.On)
            icon.addPixmap(pixmap(name, disabled, size, ratio), QIcon.Mode.Disabled)
    return icon


def themed_icon(theme: Theme, name: str, tint: str = "text-muted", chosen: str = "") -> QIcon:
    """Return an icon in a colour of the theme; `chosen` colours it while a button is checked."""
    return _icon(name, theme.hex(tint), theme.hex(chosen or tint), theme.hex("text-disabled"))


class _Binding(QObject):
    """Keeps a button's icon in the colours of the theme, as long as the button lives."""

    def __init__(
        self, button: QAbstractButton, theme: Theme, name: str, tint: str, chosen: str
    ) -> None:
        super().__init__(button)
        self._button, self._theme = button, theme
        self.name, self._tint, self._chosen = name, tint, chosen
        theme.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        self._button.setIcon(themed_icon(self._theme, self.name, self._tint, self._chosen))


def set_icon(
    button: QAbstractButton,
    theme: Theme,
    name: str,
    tint: str = "text-muted",
    chosen: str = "",
) -> None:
    """Give a button an icon that follows the theme; calling again replaces it."""
    for old in button.findChildren(_Binding, options=Qt.FindChildOption.FindDirectChildrenOnly):
        theme.changed.disconnect(old.refresh)
        old.setParent(None)  # found no more, even before it is deleted
        old.deleteLater()
    _Binding(button, theme, name, tint, chosen)
    button.setIconSize(QSize(theme.size("icon"), theme.size("icon")))
