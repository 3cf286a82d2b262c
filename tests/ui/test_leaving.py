"""Closing and quitting: every combination ends somewhere the person can come back from."""

from __future__ import annotations

import itertools

import pytest

from freehold.ui.leaving import decide_closing, decide_quitting


@pytest.mark.parametrize(
    ("keep", "tray", "explained", "expected"),
    [
        (True, True, False, "explain"),
        (True, True, True, "hide"),
        (True, False, False, "strand"),
        (True, False, True, "strand"),
        (False, True, True, "quit"),
        (False, False, False, "quit"),
    ],
)
def test_closing(keep: bool, tray: bool, explained: bool, expected: str) -> None:
    decided = decide_closing(keep_running=keep, tray_usable=tray, explained=explained)
    assert decided == expected


def test_nothing_ever_hides_without_a_tray() -> None:
    for keep, explained in itertools.product((True, False), repeat=2):
        assert decide_closing(keep_running=keep, tray_usable=False, explained=explained) not in (
            "hide",
            "explain",
        )


@pytest.mark.parametrize(
    ("local", "connected", "keep", "running", "asked", "expected"),
    [
        (True, True, True, 0, True, "ask"),
        (True, True, False, 0, False, "stop"),
        (True, True, False, 2, False, "ask"),
        (True, True, False, 0, True, "ask"),
        (False, True, True, 0, True, "leave"),
        (True, False, True, 0, True, "leave"),
    ],
)
def test_quitting(
    local: bool, connected: bool, keep: bool, running: int, asked: bool, expected: str
) -> None:
    decided = decide_quitting(
        local=local, connected=connected, keep_running=keep, running=running, asked=asked
    )
    assert decided == expected
