"""The screen and the bus that other tests open the real window on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtGui import QColor, QImage

from doubles.displays import SessionBus, VirtualDisplay, screenshot

WINDOW = """
import sys
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication(sys.argv[:1])
assert app.platformName() == "xcb", app.platformName()
window = QWidget()
palette = window.palette()
palette.setColor(QPalette.ColorRole.Window, QColor("#ff0000"))
window.setPalette(palette)
window.setGeometry(100, 100, 300, 200)
window.show()
while not window.windowHandle().isExposed():
    app.processEvents()
window.repaint()
app.sync()
print("shown", flush=True)
sys.stdin.read()
"""
BUS = """
from PySide6.QtCore import QCoreApplication
from PySide6.QtDBus import QDBusConnection
app = QCoreApplication([])
print(QDBusConnection.sessionBus().isConnected())
"""


@pytest.mark.xvfb
def test_a_window_is_drawn_and_can_be_looked_at(
    virtual_display: VirtualDisplay, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WINDOW],
        env={**os.environ, **virtual_display.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "shown\n"
        picture = QImage(str(screenshot(virtual_display, tmp_path / "screen.png")))
        child.communicate(timeout=30)
    assert (picture.width(), picture.height()) == (virtual_display.width, virtual_display.height)
    assert picture.pixelColor(200, 200) == QColor("#ff0000")
    assert picture.pixelColor(10, 10) != QColor("#ff0000")


@pytest.mark.xvfb
def test_the_bus_is_there_and_is_not_the_users(session_bus: SessionBus) -> None:
    assert session_bus.address != os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    result = subprocess.run(
        [sys.executable, "-c", BUS],
        env={**os.environ, **session_bus.environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == "True\n", result.stderr
