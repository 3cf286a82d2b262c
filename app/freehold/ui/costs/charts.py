"""The pictures of the Costs page. This module is imported when they are first shown."""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Sequence
from typing import Any, Final

import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt, Signal
from PySide6.QtGui import QFontMetrics, QWheelEvent
from PySide6.QtWidgets import QSizePolicy

from freehold.ui.costs.amounts import short_meter
from freehold.ui.theme import Theme
from freehold.wire_costs import (
    CostLine,
    OwnOrRentAnswer,
    Swing,
)
from freehold.wire_power import LimitState, PowerCurve, PowerPoint

# Okabe and Ito's palette, told apart with every kind of colour blindness; each area also has its
# name in the legend and its place in the stack.
PALETTE: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
OWN, RENT = PALETTE[0], PALETTE[1]
TOKENS: Final = "#D55E00"


class Chart(pg.PlotWidget):
    """A plot in the theme's colours that leaves the wheel to the page."""

    def __init__(self, theme: Theme, name: str, height: int, axes: dict[str, Any] | None = None):
        super().__init__(axisItems=axes or {})
        self._theme = theme
        self.setAccessibleName(name)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setFrameShape(pg.PlotWidget.Shape.NoFrame)
        self.setMouseEnabled(False, False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setAntialiasing(True)
        self.getAxis("left").setWidth(58)
        self._legend = self.addLegend(offset=(12, 2), labelTextSize="9pt", colCount=4)
        theme.changed.connect(self.recolor)
        self.recolor()

    def recolor(self) -> None:
        """Take over the theme's colours."""
        self.setBackground(self._theme.color("surface"))
        text, line = self._theme.color("text-muted"), self._theme.color("border")
        for side in ("left", "bottom", "right"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(line))
            axis.setTextPen(pg.mkPen(text))
            axis.setTickFont(self._theme.font("small"))
            axis.setStyle(tickLength=-4)
        self._legend.setLabelTextColor(self._theme.color("text"))
        self._legend.setBrush(pg.mkBrush(None))
        self._legend.setPen(pg.mkPen(None))

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def _name_line(self, name: str, color: str) -> None:
        self._legend.addItem(pg.PlotDataItem(pen=pg.mkPen(color, width=4)), name)


class MoneyAxis(pg.AxisItem):
    """Money in thousands where it is so much."""

    def tickStrings(self, values: Sequence[float], _scale: float, _spacing: float) -> list[str]:
        return [axis_money(value) for value in values]


def axis_money(value: float) -> str:
    """Return an amount as short as an axis needs it: `-$16 k`."""
    sign, size = "-" if value < 0 else "", abs(value)
    return f"{sign}${size / 1000:,.4g} k" if size >= 1000 else f"{sign}${size:,.0f}"


class CostLines(Chart):
    """Money spent until a month, owning and renting, and where the lines cross."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(
            theme, "Cumulative cost of owning and renting", 260, {"left": MoneyAxis("left")}
        )
        self.getAxis("bottom").setLabel("years")
        self._own = self.plot(pen=pg.mkPen(OWN, width=2.5), name="own")
        self._rent = self.plot(
            pen=pg.mkPen(RENT, width=2.5, style=Qt.PenStyle.DashLine), name="rent"
        )
        self._dot = pg.ScatterPlotItem(size=11, pen=pg.mkPen(None))
        self.addItem(self._dot)
        self._word = pg.TextItem(anchor=(0.5, 1.3))
        self.addItem(self._word)
        self.recolor()

    def show_answer(self, answer: OwnOrRentAnswer) -> None:
        """Draw the two lines of an answer."""
        years = [line.month / 12 for line in answer.lines]
        own = [float(line.own) for line in answer.lines]
        self._own.setData(years, own)
        self._rent.setData(years, [float(line.rent) for line in answer.lines])
        even = answer.break_even_years
        crosses = even is not None and bool(years) and float(even) <= years[-1]
        self._dot.setVisible(crosses)
        self._word.setVisible(crosses)
        if crosses and even is not None:
            height = _height_at(answer.lines, float(even) * 12)
            self._dot.setData([float(even)], [height])
            self._word.setPos(float(even), height)
            self._word.setText(f"{even:.1f} years")
        self.setXRange(0, years[-1] if years else 1, padding=0.01)
        highest = max([*own, *(float(line.rent) for line in answer.lines)], default=1.0)
        self.setYRange(0, max(highest, 1.0) * 1.12, padding=0)

    def recolor(self) -> None:
        super().recolor()
        if hasattr(self, "_dot"):
            self._dot.setBrush(pg.mkBrush(self._theme.color("text")))
            self._word.setColor(self._theme.color("text"))


def _height_at(lines: Sequence[CostLine], month: float) -> float:
    index = min(int(month), len(lines) - 2)
    step = float(lines[index + 1].own - lines[index].own)
    return float(lines[index].own) + step * (month - index)


class Tornado(Chart):
    """The yearly gain when one assumption moves by 30 %, the widest bar on top."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "What the gain depends on", 220, {"bottom": MoneyAxis("bottom")})
        self._name_line("30 % less", RENT)
        self._name_line("30 % more", OWN)
        self._bars: list[Any] = []
        self._middle = pg.InfiniteLine(angle=90)
        self.addItem(self._middle)
        self.getAxis("bottom").setLabel("gain a year")
        self.recolor()

    def show_swings(self, swings: Sequence[Swing], gain: float) -> None:
        """Draw one pair of bars for each assumption around the gain as it stands."""
        for bar in self._bars:
            self.removeItem(bar)
        rows = [float(len(swings) - i) for i in range(len(swings))]
        self._bars = []
        for color, ends in ((RENT, [s.low for s in swings]), (OWN, [s.high for s in swings])):
            widths = [float(end) - gain for end in ends]
            middles = [gain + width / 2 for width in widths]
            bar = pg.BarGraphItem(
                x=middles,
                y=rows,
                width=[abs(w) for w in widths],
                height=0.56,
                brush=color,
                pen=pg.mkPen(None),
            )
            self.addItem(bar)
            self._bars.append(bar)
        self.getAxis("left").setTicks([[(r, s.name) for r, s in zip(rows, swings, strict=True)]])
        # By itself the axis finds its width while it is drawn, and shows the names the time after.
        metrics = QFontMetrics(self._theme.font("small"))
        widest = max((metrics.horizontalAdvance(s.name) for s in swings), default=0)
        self.getAxis("left").setWidth(widest + 16)
        self._middle.setValue(gain)
        self.setYRange(0.3, len(swings) + 1.5, padding=0)
        reached = [float(v) for s in swings for v in (s.low, s.high)]
        reach = max((abs(end - gain) for end in reached), default=0.0) or 1.0
        self.setXRange(gain - reach, gain + reach, padding=0.05)

    def recolor(self) -> None:
        super().recolor()
        if hasattr(self, "_middle"):
            self._middle.setPen(pg.mkPen(self._theme.color("text-muted")))


class PowerChart(Chart):
    """Watts by part, stacked. Gaps stay gaps.

    Signals: pointed(text): what stands under the cross hair, "" when there is none.
    """

    pointed = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "Power by part", 240, {"bottom": pg.DateAxisItem("bottom")})
        self.getAxis("left").setLabel("W")
        self._drawn: list[Any] = []
        self._curve: PowerCurve | None = None
        self._named: tuple[str, ...] = ()
        self._cross = pg.InfiniteLine(angle=90)
        self._cross.setZValue(50)
        self._cross.hide()
        self.addItem(self._cross, ignoreBounds=True)
        self.scene().sigMouseMoved.connect(self._on_moved)
        self.recolor()

    def show_curve(self, curve: PowerCurve) -> None:
        """Draw a span."""
        self._curve = curve
        for item in self._drawn:
            self.removeItem(item)
        self._drawn = []
        if curve.parts != self._named:
            self._named = curve.parts
            self._legend.clear()
            for index, part in enumerate(curve.parts):
                self._name_line(short_meter(part), PALETTE[index % len(PALETTE)])
        for run in known_runs(curve):
            self._draw_run(run, len(curve.parts))
        end = curve.points[-1].at if curve.points else time.time()
        self.setXRange(end - curve.span_s, end, padding=0)
        highest = max((sum(w or 0.0 for w in p.watts) for p in curve.points), default=0.0)
        self.setYRange(0, max(highest * 1.3, 10.8), padding=0)

    def _draw_run(self, run: Sequence[PowerPoint], parts: int) -> None:
        """Draw stacked areas over points that are all known, the topmost first."""
        times = [point.at for point in run]
        if len(run) == 1:  # a lone point between gaps is as wide as it lasted
            assert self._curve is not None
            times, run = [times[0], times[0] + self._curve.point_s], [run[0], run[0]]
        for part in reversed(range(parts)):
            tops = [sum(w or 0.0 for w in point.watts[: part + 1]) for point in run]
            color = PALETTE[part % len(PALETTE)]
            item = pg.PlotCurveItem(
                times, tops, pen=pg.mkPen(color, width=1), fillLevel=0, brush=color
            )
            self.addItem(item)
            self._drawn.append(item)

    def _on_moved(self, at: QPointF) -> None:
        curve = self._curve
        if curve is None or not curve.points or not self.sceneBoundingRect().contains(at):
            self._clear_cross()
            return
        moment = self.getPlotItem().vb.mapSceneToView(at).x()
        point = nearest(curve, moment)
        if point is None:
            self._clear_cross()
            return
        self._cross.setValue(point.at)
        self._cross.show()
        self.pointed.emit(point_text(curve, point))

    def leaveEvent(self, event: Any) -> None:
        super().leaveEvent(event)
        self._clear_cross()

    def _clear_cross(self) -> None:
        if self._cross.isVisible():
            self._cross.hide()
            self.pointed.emit("")

    def recolor(self) -> None:
        super().recolor()
        if hasattr(self, "_cross"):
            self._cross.setPen(pg.mkPen(self._theme.color("text")))


class TokensChart(Chart):
    """Tokens a second over the same span."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "Tokens a second", 130, {"bottom": pg.DateAxisItem("bottom")})
        self.getAxis("left").setLabel("tokens/s")
        self._line = self.plot(pen=pg.mkPen(TOKENS, width=2))

    def show_curve(self, curve: PowerCurve) -> None:
        """Draw a span."""
        times, rates = broken_line(curve)
        self._line.setData(times, rates, connect="finite")
        end = times[-1] if times else time.time()
        self.setXRange(end - curve.span_s, end, padding=0)
        highest = max((point.tokens_per_s for point in curve.points), default=0.0)
        self.setYRange(0, max(highest * 1.2, 1.08), padding=0)


class LimitChart(Chart):
    """Energy per token by power limit; the best point is a filled one."""

    def __init__(self, theme: Theme) -> None:
        super().__init__(theme, "Energy per token by power limit", 200)
        self.getAxis("left").setLabel("J per token")
        self.getAxis("bottom").setLabel("power limit, W")
        self._line = self.plot(
            pen=pg.mkPen(OWN, width=2), symbol="o", symbolSize=8, symbolPen=pg.mkPen(OWN, width=2)
        )
        self._best = pg.ScatterPlotItem(size=14, pen=pg.mkPen(None), brush=pg.mkBrush(OWN))
        self.addItem(self._best)
        self._word = pg.TextItem(anchor=(0.5, 1.5))
        self.addItem(self._word)
        self.recolor()

    def show_points(self, found: LimitState) -> None:
        """Draw the points of a sweep."""
        limits = [point.limit_watts for point in found.points]
        joules = [point.joules_per_token for point in found.points]
        self._line.setData(limits, joules)
        self._best.setVisible(found.best is not None)
        self._word.setVisible(found.best is not None)
        if found.best is not None:
            self._best.setData([found.best.limit_watts], [found.best.joules_per_token])
            self._word.setPos(found.best.limit_watts, found.best.joules_per_token)
            self._word.setText(f"best: {found.best.limit_watts} W")
        if joules:
            margin = max(10.0, (limits[-1] - limits[0]) * 0.08)
            self.setXRange(limits[0] - margin, limits[-1] + margin, padding=0)
            self.setYRange(0, max(joules) * 1.25, padding=0)

    def recolor(self) -> None:
        super().recolor()
        if hasattr(self, "_word"):
            self._line.setSymbolBrush(pg.mkBrush(self._theme.color("surface")))
            self._word.setColor(self._theme.color("text"))


def broken_line(curve: PowerCurve) -> tuple[list[float], list[float]]:
    """Return times and tokens a second, with a break where time is left out."""
    times: list[float] = []
    rates: list[float] = []
    before: PowerPoint | None = None
    for point in curve.points:
        if before is not None and point.at - before.at > 2.5 * curve.point_s:
            times.append(before.at + curve.point_s)
            rates.append(math.nan)
        times.append(point.at)
        rates.append(point.tokens_per_s)
        before = point
    return times, rates


def known_runs(curve: PowerCurve) -> list[list[PowerPoint]]:
    """Return the stretches of points without a gap: nothing unknown, and no time left out."""
    runs: list[list[PowerPoint]] = []
    before: PowerPoint | None = None
    for point in curve.points:
        known = bool(point.watts) and len(point.watts) == len(curve.parts)
        if not known or any(value is None for value in point.watts):
            before = None
            continue
        if before is None or point.at - before.at > 2.5 * curve.point_s:
            runs.append([])
        runs[-1].append(point)
        before = point
    return runs


def nearest(curve: PowerCurve, moment: float) -> PowerPoint | None:
    """Return the point next to a moment, None where none is near."""
    times = [point.at for point in curve.points]
    index = bisect.bisect_left(times, moment)
    around = curve.points[max(0, index - 1) : index + 1]
    found = min(around, key=lambda p: abs(p.at - moment), default=None)
    return found if found and abs(found.at - moment) <= 3 * curve.point_s else None


def point_text(curve: PowerCurve, point: PowerPoint) -> str:
    """Return a point's figures in words."""
    form = "%H:%M:%S" if curve.span in ("minute", "hour") else "%d %b %H:%M"
    words = [time.strftime(form, time.localtime(point.at))]
    for part, value in zip(curve.parts, point.watts, strict=False):
        words.append(f"{short_meter(part)} {'gap' if value is None else f'{value:.0f} W'}")
    words.append(f"{point.tokens_per_s:.1f} tokens/s")
    return "  ·  ".join(words)
