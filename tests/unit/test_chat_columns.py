"""What stands beside a chat where room is short, and what sending would do."""

from __future__ import annotations

import pytest

from freehold.ui.chats.columns import has_room_for_list
from freehold.ui.state.sending import sending_words
from freehold.wire import EngineState, ModelEntry

MODEL = ModelEntry(
    ref="m", name="Model M", arch="llama", bytes=1, path="/m", origin="imported", ready=True
)


@pytest.mark.parametrize(
    ("width", "reading", "settings", "room"),
    [
        (700, False, False, True),
        (836, False, True, False),
        (1_039, False, True, False),
        (1_040, False, True, True),
        (1_040, True, False, False),
        (1_399, True, True, False),
        (1_400, True, True, True),
    ],
)
def test_the_list_gives_way_to_settings_and_reader(
    width: int, reading: bool, settings: bool, room: bool
) -> None:
    assert has_room_for_list(width, reading=reading, settings=settings) is room


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("ready", ""),
        ("loading", "Model M is loading. Your message will be sent when it is ready."),
        ("failed", "Model M is not loaded; it is loaded when you send."),
        ("unloading", "Model M is not loaded; it is loaded when you send."),
    ],
)
def test_what_sending_does_follows_the_engine(phase: str, words: str) -> None:
    engine = EngineState(ref="m", phase=phase)  # type: ignore[arg-type]
    assert sending_words("m", (MODEL,), (engine,)) == (words, False)


def test_a_model_that_is_gone_is_a_problem() -> None:
    words, problem = sending_words("other", (MODEL,), ())
    assert problem
    assert words.startswith("other is not on this machine any more.")
    assert sending_words("", (MODEL,), ()) == ("", False)
    assert sending_words("m", (MODEL,), ())[0].startswith("Model M is not loaded")
