"""Colours, sizes and the style sheet, in light and dark, following the system."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QPalette
from PySide6.QtWidgets import QApplication

from freehold.paths import resources

Setting = Literal["system", "light", "dark"]
Name = Literal["light", "dark"]

# The grid is 8 px; half steps only inside controls.
SIZES: Final[Mapping[str, int]] = {
    "space-half": 4,
    "space": 8,
    "space-2": 16,
    "space-3": 24,
    "space-4": 32,
    "space-6": 48,
    "radius": 8,
    "radius-small": 6,
    "radius-large": 12,
    "control": 36,
    "icon": 20,
    "icon-small": 16,
    "page-width": 880,
}
# Text sizes as parts of the system's own, so that a larger system font makes everything larger.
FONT_SCALES: Final[Mapping[str, float]] = {
    "body": 1.0,
    "small": 0.9,
    "section": 1.15,
    "title": 1.55,
    "display": 1.9,
}
MINIMUM_POINTS: Final = 10.0
_PLACE = re.compile(r"\$\{([a-z0-9-]+)\}")


def load_tokens(folder: Path, name: Name) -> dict[str, str]:
    """Return the colours of a theme file by name."""
    with (folder / f"{name}.toml").open("rb") as file:
        return dict(tomllib.load(file)["color"])


class Theme(QObject):
    """The look now in force.

    Signals: changed: colours are others now; what was painted with them must be painted again.
    """

    changed = Signal()

    def __init__(
        self,
        app: QApplication,
        *,
        setting: Setting = "system",
        folder: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._app = app
        self._folder = folder or resources() / "theme"
        self._colors = {name: load_tokens(self._folder, name) for name in ("light", "dark")}
        self._sheet = (self._folder / "freehold.qss").read_text(encoding="utf-8")
        self._setting: Setting = setting
        self._base_points = max(app.font().pointSizeF(), MINIMUM_POINTS)
        self._name: Name = self._wanted()
        app.styleHints().colorSchemeChanged.connect(self._follow)
        # Each of these goes over every widget, so only what differs is set again later.
        app.setStyle("Fusion")
        font = QFont(app.font())
        font.setPointSizeF(self._base_points)
        app.setFont(font)
        self._apply()

    @property
    def name(self) -> Name:
        """Return which theme is shown, "light" or "dark"."""
        return self._name

    @property
    def is_dark(self) -> bool:
        return self._name == "dark"

    @property
    def setting(self) -> Setting:
        return self._setting

    def use(self, setting: Setting) -> None:
        """Follow the system, or be light or dark whatever the system says."""
        self._setting = setting
        self._follow()

    def color(self, name: str) -> QColor:
        """Return the colour of a token, `theme.color("accent")`."""
        return QColor(self.hex(name))

    def hex(self, name: str) -> str:
        """Return the colour of a token as `#rrggbb`, for style sheets and documents."""
        return self._colors[self._name][name]

    def size(self, name: str) -> int:
        """Return a distance in device-independent pixels, `theme.size("space-2")`."""
        return SIZES[name]

    def font(self, role: str = "body", *, bold: bool = False) -> QFont:
        """Return the system's font in the size of a role: small, body, section, title, display."""
        font = QFont(self._app.font())
        font.setPointSizeF(self._base_points * FONT_SCALES[role])
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        return font

    def mono_font(self, role: str = "body") -> QFont:
        """Return the system's fixed-width font in the size of a role."""
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(self._base_points * FONT_SCALES[role] * 0.95)
        return font

    def fill(self, template: str) -> str:
        """Return a style sheet with `${token}`, `${size}` and `${font-role}` filled in."""
        return _PLACE.sub(lambda found: self._value(found.group(1)), template)

    def _value(self, name: str) -> str:
        if name in SIZES:
            return f"{SIZES[name]}px"
        if name.startswith("font-"):
            return f"{self._base_points * FONT_SCALES[name[5:]]:.1f}pt"
        return self.hex(name)

    def _wanted(self) -> Name:
        if self._setting != "system":
            return self._setting
        scheme = self._app.styleHints().colorScheme()
        return "dark" if scheme == Qt.ColorScheme.Dark else "light"

    def _follow(self, _scheme: object = None) -> None:
        wanted = self._wanted()
        if wanted != self._name:
            self._name = wanted
            self._apply()
            self.changed.emit()

    def _apply(self) -> None:
        self._app.setPalette(self.palette())
        # Qt takes four times as long to replace a sheet as to take it away and set another.
        self._app.setStyleSheet("")
        self._app.setStyleSheet(self.fill(self._sheet))

    def palette(self) -> QPalette:
        """Return the palette for what a style sheet does not reach."""
        palette = QPalette()
        role = QPalette.ColorRole
        for target, token in (
            (role.Window, "window"),
            (role.WindowText, "text"),
            (role.Base, "surface"),
            (role.AlternateBase, "surface-sunken"),
            (role.Text, "text"),
            (role.Button, "surface"),
            (role.ButtonText, "text"),
            (role.BrightText, "danger"),
            (role.ToolTipBase, "surface-raised"),
            (role.ToolTipText, "text"),
            (role.PlaceholderText, "text-faint"),
            (role.Highlight, "selection"),
            (role.HighlightedText, "selection-text"),
            (role.Link, "link"),
            (role.LinkVisited, "link"),
            (role.Light, "surface-raised"),
            (role.Midlight, "hover"),
            (role.Mid, "border"),
            (role.Dark, "border-strong"),
            (role.Shadow, "shadow"),
            (role.Accent, "accent"),
        ):
            palette.setColor(target, self.color(token))
        for target in (role.WindowText, role.Text, role.ButtonText):
            palette.setColor(QPalette.ColorGroup.Disabled, target, self.color("text-disabled"))
        return palette
