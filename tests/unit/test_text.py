"""Stop strings never leak, not even in part, and characters are never split."""

from __future__ import annotations

import itertools

from hypothesis import example, given
from hypothesis import strategies as st

from freehold.engine.text import StopFinder, Utf8Stream


def _cuts(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.text(), st.lists(st.integers(0, 1000)))
@example("héllo 🏠 語", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
def test_text_cut_anywhere_comes_out_whole(text: str, places: list[int]) -> None:
    stream = Utf8Stream()
    parts = [stream.feed(part) for part in _cuts(text.encode(), places)]
    assert "".join(parts) + stream.finish() == text
    assert "\ufffd" not in "".join(parts) or "\ufffd" in text


@given(st.binary(), st.lists(st.integers(0, 1000)))
def test_bytes_that_are_not_text_come_out_replaced(data: bytes, places: list[int]) -> None:
    stream = Utf8Stream()
    text = "".join(stream.feed(part) for part in _cuts(data, places)) + stream.finish()
    assert text == data.decode("utf-8", "replace")


def _expected(text: str, stops: list[str]) -> tuple[str, str | None]:
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    position, _, stop = min(found)
    return text[:position], stop


@given(
    st.text(alphabet="abc\n", max_size=60),
    st.lists(st.text(alphabet="abc\n", min_size=1, max_size=5), max_size=4),
    st.data(),
)
def test_what_is_shown_ends_where_the_first_stop_begins(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    finder = StopFinder(tuple(stops))
    shown, stop = "", None
    rest = text
    while rest and stop is None:
        size = data.draw(st.integers(1, len(rest)))
        released = finder.feed(rest[:size])
        rest = rest[size:]
        shown += released.text
        stop = released.stop
        # Nothing that is shown may ever have to be taken back.
        assert _expected(text, stops)[0].startswith(shown)
    if stop is None:
        released = finder.finish()
        shown += released.text
        stop = released.stop
    expected, expected_stop = _expected(text, stops)
    assert shown == expected
    assert (stop is None) == (expected_stop is None)


def test_a_beginning_is_held_back_only_as_long_as_it_may_become_a_stop() -> None:
    finder = StopFinder(("</end>",))
    assert finder.feed("hello </e") == ("hello ", None)
    assert finder.feed("arth>") == ("</earth>", None)
    assert finder.feed("bye </end> more") == ("bye ", "</end>")
    assert finder.feed("after") == ("", None)


def test_a_longer_stop_that_began_earlier_wins() -> None:
    finder = StopFinder(("abcd", "bc"))
    assert finder.feed("xabc") == ("x", None)
    assert finder.feed("d") == ("", "abcd")
    finder = StopFinder(("abcd", "bc"))
    assert finder.feed("xabc") == ("x", None)
    assert finder.feed("e") == ("a", "bc")


def test_without_stops_text_passes_at_once() -> None:
    assert StopFinder(()).feed("anything") == ("anything", None)
