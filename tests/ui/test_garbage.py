"""Cycles of Qt objects die on Qt's thread, whatever other threads do."""

from __future__ import annotations

import gc
import threading
import weakref

from PySide6.QtCore import QObject

from freehold.ui.garbage import GarbageCollector


class Knot(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.me = self


def churn() -> None:
    """Make so much that the automatic collector would run."""
    for _ in range(20_000):
        knot: list[object] = []
        knot.append(knot)


def test_another_thread_does_not_collect(qapp: object) -> None:
    collector = GarbageCollector()
    try:
        died: list[int] = []
        weakref.finalize(Knot(), lambda: died.append(threading.get_ident()))
        thread = threading.Thread(target=churn)
        thread.start()
        thread.join()
        assert died == []
        while collector.look() is not None:
            pass
        assert died == [threading.get_ident()]
    finally:
        collector.close()
    assert gc.isenabled()
