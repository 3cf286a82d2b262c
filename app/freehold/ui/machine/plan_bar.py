"""One device of a plan as a bar: parts in their colours, other programs, what is kept free."""

from __future__ import annotations

from typing import Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QHelpEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from freehold.ui.theme import SIZES, Theme
from freehold.ui.widgets.labels import ElidedLabel
from freehold.units import format_bytes
from freehold.wire_machine import DevicePlan

BAR_HEIGHT: Final = 26
PART_WORDS: Final = {
    "attention": "Attention",
    "experts": "Experts",
    "shared_experts": "Shared experts",
    "dense": "Embeddings and dense layers",
    "kv_cache": "KV cache",
    "compute": "Working buffers",
    "projector": "Projector",
    "draft": "Draft model",
    "other": "Other programs",
    "reserve": "Kept free",
}
HATCHED: Final = ("reserve",)


def part_token(part: str) -> str:
    """Return the colour token of a part; what is kept free has the border's."""
    return "border-strong" if part == "reserve" else f"part-{part.replace('_', '-')}"


def slices(device: DevicePlan) -> list[tuple[str, int]]:
    """Return (part, bytes) from left to right, empty ones left out."""
    held = [
        (name, getattr(device.parts, name))
        for name in PART_WORDS
        if name not in ("other", "reserve")
    ]
    other = device.total_bytes - device.free_bytes if device.kind != "disk" else 0
    found = [("other", other), *held, ("reserve", device.parts.reserve)]
    return [(name, size) for name, size in found if size > 0]


def device_words(device: DevicePlan) -> str:
    """Return what is written above a bar."""
    if device.kind == "disk":
        what = f"{format_bytes(device.used_bytes)} read from it while answering"
    else:
        needed = device.used_bytes - device.parts.reserve
        what = f"{format_bytes(needed)} of {format_bytes(device.free_bytes)} free"
    layers = []
    if device.layers:
        layers.append(f"{device.layers} layers" if device.layers != 1 else "1 layer")
    if device.expert_layers:
        layers.append(f"experts of {device.expert_layers}")
    tail = f"  ·  {', '.join(layers)}" if layers else ""
    return f"{device.name}  ·  {what}{tail}{'  ·  pinned by hand' if device.pinned else ''}"


class PlanBar(QWidget):
    """A stacked bar; the whole width is the device's memory, or what would be needed of it."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._device: DevicePlan | None = None
        self.setFixedHeight(BAR_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self.update)

    def show_device(self, device: DevicePlan) -> None:
        """Show another plan of the device."""
        self._device = device
        self.setAccessibleName(device_words(device))
        self.setAccessibleDescription(
            ", ".join(f"{PART_WORDS[name]} {format_bytes(size)}" for name, size in slices(device))
        )
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(320, BAR_HEIGHT)

    def places(self) -> list[tuple[str, int, QRectF]]:
        """Return (part, bytes, rectangle) as drawn."""
        device = self._device
        if device is None:
            return []
        found = slices(device)
        whole = max(device.total_bytes, sum(size for _, size in found), 1)
        if device.kind == "disk":
            whole = max(device.free_bytes, device.used_bytes, 1)
        left, placed = 0.0, []
        for name, size in found:
            width = size / whole * self.width()
            placed.append((name, size, QRectF(left, 0, width, self.height())))
            left += width
        return placed

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme, painter = self._theme, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = QPainterPath()
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        outline.addRoundedRect(frame, 6, 6)
        painter.fillPath(outline, theme.color("surface-sunken"))
        painter.setClipPath(outline)
        for name, _, place in self.places():
            if name in HATCHED:
                painter.fillRect(
                    place, QBrush(theme.color("border-strong"), Qt.BrushStyle.BDiagPattern)
                )
            else:
                painter.fillRect(place, theme.color(part_token(name)))
            if place.width() > 3:  # a gap, so that neighbours differ without colour too
                painter.setPen(QPen(theme.color("surface"), 1))
                painter.drawLine(
                    QPointF(place.right(), 0), QPointF(place.right(), float(self.height()))
                )
        painter.setClipping(False)
        device = self._device
        is_over = device is not None and device.used_bytes > device.free_bytes
        painter.setPen(QPen(theme.color("danger" if is_over else "border"), 2 if is_over else 1))
        painter.drawPath(outline)
        painter.end()

    def event(self, event: object) -> bool:
        if isinstance(event, QHelpEvent):
            for name, size, place in self.places():
                if place.contains(QPointF(event.pos())):
                    words = f"{PART_WORDS[name]}: {format_bytes(size)}"
                    QToolTip.showText(event.globalPos(), words, self)
                    return True
            QToolTip.hideText()
            return True
        return super().event(event)  # type: ignore[arg-type]


class DeviceRow(QWidget):
    """The words over a bar, and the bar."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(SIZES["space-half"])
        self.words = ElidedLabel("", "small")
        self.bar = PlanBar(theme)
        column.addWidget(self.words)
        column.addWidget(self.bar)

    def show_device(self, device: DevicePlan) -> None:
        """Show another plan of the device."""
        self.words.setText(device_words(device))
        self.bar.show_device(device)
