"""A window that stops reading its events costs the server little, and hears that it missed some."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import httpx
import msgspec
import psutil

from doubles.server import FakeModels, fake_house, live_server
from freehold.client.sse import SseParser
from freehold.wire import Changed, Envelope, Resync

EVENTS = 30_000


def test_a_reader_that_stops_costs_less_than_the_ring_and_is_told(tmp_path: Path) -> None:
    with (
        live_server(lambda: fake_house(tmp_path, FakeModels())) as server,
        socket.create_connection(("127.0.0.1", server.port)) as line,
    ):
        bus = server.house.bus
        start = bus.seq
        line.sendall(
            f"GET /freehold/v1/events?after={start} HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
            f"authorization: Bearer {server.key}\r\n\r\n".encode()
        )
        deadline = time.monotonic() + 10
        while not bus.readers:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        before = psutil.Process().memory_info().rss

        async def flood() -> None:
            for number in range(EVENTS):
                bus.publish(Changed(topic="x" * 1000, id=str(number)))
                if number % 100 == 0:
                    await asyncio.sleep(0)

        begun = time.monotonic()
        server.call(flood)
        # Others are served all the while.
        headers = {"authorization": f"Bearer {server.key}"}
        answer = httpx.get(f"{server.url}/freehold/v1/state", headers=headers)
        assert answer.status_code == 200
        assert time.monotonic() - begun < 30
        # The ring alone (8 MB) and the socket's buffers, not 30 MB of events.
        assert psutil.Process().memory_info().rss - before < 25_000_000
        parser, events = SseParser(), list[Envelope]()
        line.settimeout(15)
        while not any(isinstance(e.event, Resync) for e in events):
            data = line.recv(65_536)
            assert data
            # The head and the sizes of chunks are lines that the parser passes over.
            events += [msgspec.json.decode(e.data, type=Envelope) for e in parser.feed(data)]
        assert events[-1].seq == start + EVENTS
        assert len(events) < EVENTS // 2
