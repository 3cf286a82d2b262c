"""The parser of server-sent events, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.client.sse import ServerEvent, SseParser

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
WORDS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30)
NAMES = WORDS.filter(lambda text: "\0" not in text)


def parse(data: bytes, cuts: list[int]) -> list[ServerEvent]:
    parser, events, start = SseParser(), [], 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        events += parser.feed(data[start:cut])
        start = cut
    return events


@given(
    events=st.lists(st.tuples(WORDS.filter(bool), NAMES, st.lists(WORDS, min_size=1)), max_size=6),
    end=ENDS,
    comment=WORDS,
    cuts=st.lists(st.integers(0, 800), max_size=20),
)
def test_events_come_out_as_they_went_in_wherever_the_bytes_are_cut(
    events: list[tuple[str, str, list[str]]], end: str, comment: str, cuts: list[int]
) -> None:
    lines = [f":{comment}", ""]
    for kind, id_, data in events:
        lines += [f"event: {kind}", f"id: {id_}", *(f"data: {line}" for line in data), ""]
    got = parse("".join(line + end for line in lines).encode(), cuts)
    assert got == [ServerEvent("\n".join(data), kind, id_) for kind, id_, data in events]


@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=10))
def test_any_bytes_give_the_same_events_in_one_piece_and_in_many(
    data: bytes, cuts: list[int]
) -> None:
    assert parse(data, cuts) == parse(data, [])


def test_a_line_end_cut_in_two_is_one_end_even_with_nothing_in_between() -> None:
    parser = SseParser()
    pieces = (b"event: a\r", b"", b"\n", b"data: 1\r", b"\n\r", b"", b"", b"\n")
    assert [event for piece in pieces for event in parser.feed(piece)] == [ServerEvent("1", "a")]


def test_comments_unknown_fields_and_events_without_data_are_dropped() -> None:
    parser = SseParser()
    assert parser.feed(b": heartbeat\n\nretry: 5\nevent: x\n\nfoo: bar\ndata\n\n") == [
        ServerEvent("", "message", "")
    ]


def test_the_id_lasts_and_the_type_does_not() -> None:
    parser = SseParser()
    got = parser.feed(b"\xef\xbb\xbfid: 7\nevent: a\ndata: 1\n\ndata: 2\n\n")
    assert got == [ServerEvent("1", "a", "7"), ServerEvent("2", "message", "7")]


def test_an_unfinished_event_is_not_told() -> None:
    parser = SseParser()
    assert parser.feed(b"data: half") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\n") == [ServerEvent("half")]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100, b"data: " + b"x" * 100 + b"\n"])
def test_an_endless_event_is_refused(piece: bytes) -> None:
    parser = SseParser(max_event_bytes=1000)
    with pytest.raises(ValueError, match="too large"):
        list(map(parser.feed, [piece] * 20))


def test_many_small_pieces_of_one_line_cost_linear_time() -> None:
    parser = SseParser()
    for _ in range(200_000):
        parser.feed(b"x")
    assert parser.feed(b"\n\n") == []
