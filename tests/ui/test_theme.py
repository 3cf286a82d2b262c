"""The themes: complete, legible, and followed at run time."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication

from freehold.paths import resources
from freehold.ui.theme import Theme, load_tokens

FOLDER = resources() / "theme"
# (text, what it stands on, least ratio): WCAG 2.2 AA, 4.5 for text, 3 for edges and focus rings.
GROUNDS = ("window", "sidebar", "surface", "surface-raised", "surface-sunken", "hover")
PAIRS = [
    *((text, ground, 4.5) for text in ("text", "text-muted", "link") for ground in GROUNDS),
    *(("text-faint", ground, 4.5) for ground in ("window", "surface", "sidebar")),
    ("text", "pressed", 4.5),
    ("text-muted", "pressed", 4.5),
    ("accent-text", "accent", 4.5),
    ("accent-text", "accent-hover", 4.5),
    ("accent-text", "accent-pressed", 4.5),
    ("danger-text", "danger", 4.5),
    ("danger-text", "danger-hover", 4.5),
    ("selected-text", "selected", 4.5),
    ("selection-text", "selection", 4.5),
    ("user-bubble-text", "user-bubble", 4.5),
    ("accent", "accent-soft", 4.5),
    ("accent", "surface", 4.5),
    *((name, f"{name}-soft", 4.5) for name in ("danger", "warning", "success", "info")),
    *(("text", f"{name}-soft", 4.5) for name in ("danger", "warning", "success", "info")),
    *((name, ground, 4.5) for name in ("danger", "warning", "success") for ground in GROUNDS[:3]),
    *(
        (f"code-{kind}", "surface-sunken", 4.5)
        for kind in ("keyword", "string", "comment", "number", "function", "type")
    ),
    *(("border-strong", ground, 3.0) for ground in ("window", "surface")),
    *(("focus", ground, 3.0) for ground in GROUNDS),
]


def luminance(color: str) -> float:
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(color[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_formula_on_known_values() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_pair_is_legible(name: str) -> None:
    colors = load_tokens(FOLDER, name)  # type: ignore[arg-type]
    poor = [
        f"{text} on {ground}: {contrast(colors[text], colors[ground]):.2f} < {least}"
        for text, ground, least in PAIRS
        if contrast(colors[text], colors[ground]) < least
    ]
    assert poor == []


def test_both_themes_hold_the_same_names() -> None:
    light, dark = load_tokens(FOLDER, "light"), load_tokens(FOLDER, "dark")
    assert light.keys() == dark.keys()
    assert all(QColor(value).isValid() for value in (*light.values(), *dark.values()))


def test_the_sheet_has_no_unknown_place(qapp: QApplication) -> None:
    theme = Theme(qapp, setting="light")
    sheet = theme.fill((FOLDER / "freehold.qss").read_text())
    assert "${" not in sheet
    with pytest.raises(KeyError):
        theme.fill("color: ${no-such-token};")


def test_forced_theme_changes_palette_and_tells_once(qapp: QApplication) -> None:
    theme = Theme(qapp, setting="light")
    changes: list[str] = []
    theme.changed.connect(lambda: changes.append(theme.name))
    theme.use("dark")
    theme.use("dark")
    assert changes == ["dark"]
    assert qapp.palette().window().color() == theme.color("window")
    assert theme.is_dark
    theme.use("light")
    assert changes == ["dark", "light"]


def test_a_larger_system_font_makes_every_role_larger(qapp: QApplication) -> None:
    before = qapp.font()
    try:
        small = Theme(qapp, setting="light").font("title").pointSizeF()
        font = qapp.font()
        font.setPointSizeF(16)
        qapp.setFont(font)
        assert Theme(qapp, setting="light").font("title").pointSizeF() > small
    finally:
        qapp.setFont(before)
