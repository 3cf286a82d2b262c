"""The event bus: numbers without gaps, one bounded ring, slow readers told to read again."""

from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest

from doubles.waiting import until
from freehold.server.bus import Bus
from freehold.server.native import event_lines
from freehold.wire import Changed, Envelope, Resync

decode = msgspec.json.Decoder(Envelope).decode


def event(number: int) -> Changed:
    return Changed(topic="chat", id=str(number))


async def collect(bus: Bus, after: int, into: list[Envelope]) -> None:
    async for item in bus.follow(after):
        assert item is not None
        into.append(decode(item[1]))


async def test_several_readers_see_every_event_in_order() -> None:
    bus = Bus()
    seen: list[list[Envelope]] = [[], [], []]
    readers = [asyncio.create_task(collect(bus, 0, into)) for into in seen]
    await until(lambda: bus.readers == 3)
    for number in range(1, 201):
        bus.publish(event(number))
    bus.close()
    await asyncio.wait_for(asyncio.gather(*readers), 5)
    expected = [Envelope(seq=n, event=event(n)) for n in range(1, 201)]
    assert seen == [expected] * 3
    assert bus.readers == 0


async def test_a_reader_starts_after_the_number_it_knows() -> None:
    bus = Bus()
    for number in range(1, 11):
        bus.publish(event(number))
    bus.close()
    seen: list[Envelope] = []
    await collect(bus, 7, seen)
    assert [e.seq for e in seen] == [8, 9, 10]


@pytest.mark.parametrize("after", [0, 5, 2000, 10**15, -1])
async def test_a_reader_from_outside_the_ring_reads_the_state_again_and_goes_on(after: int) -> None:
    bus = Bus(ring_events=10)
    for number in range(1, 101):
        bus.publish(event(number))
    seen: list[Envelope] = []
    reader = asyncio.create_task(collect(bus, after, seen))
    await until(lambda: seen)
    assert seen == [Envelope(seq=100, event=Resync())]
    bus.publish(event(101))
    bus.close()
    await asyncio.wait_for(reader, 5)
    assert [e.seq for e in seen] == [100, 101]


async def test_a_slow_reader_costs_no_memory_and_is_told() -> None:
    bus = Bus(ring_events=50)
    stream = bus.follow(0)
    bus.publish(event(1))
    assert await anext(stream) is not None
    for number in range(2, 500):
        bus.publish(event(number))
    item = await anext(stream)
    assert item is not None
    assert isinstance(decode(item[1]).event, Resync)
    assert len(bus._ring) <= 50
    await stream.aclose()  # type: ignore[attr-defined]


async def test_the_ring_is_bounded_in_bytes() -> None:
    bus = Bus(ring_bytes=10_000)
    for number in range(100):
        bus.publish(Changed(topic="x" * 1000, id=str(number)))
    assert sum(len(data) for _, data in bus._ring) <= 10_000
    assert bus.seq == 100


async def test_events_from_other_threads_are_numbered_once_each() -> None:
    bus = Bus()
    seen: list[Envelope] = []
    reader = asyncio.create_task(collect(bus, 0, seen))
    await until(lambda: bus.readers == 1)
    threads = [
        threading.Thread(target=lambda: [bus.publish(event(n)) for n in range(250)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    await until(lambda: len(seen) == 1000)
    assert [e.seq for e in seen] == list(range(1, 1001))
    for thread in threads:
        thread.join()
    bus.close()
    await reader


async def test_a_silent_stream_has_a_heartbeat() -> None:
    bus = Bus()
    lines = event_lines(bus, 0, heartbeat_s=0.01)
    assert (await anext(lines)).startswith(b":")
    assert (await anext(lines)).startswith(b":")
    bus.publish(event(1))
    line = b":"
    while line.startswith(b":"):
        line = await anext(lines)
    assert line.startswith(b"id: 1\ndata: {")
    assert line.endswith(b"}\n\n")
    await lines.aclose()  # type: ignore[attr-defined]
