"""Reading server-sent events from pieces of bytes, cut anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# An event larger than this is not ours.
MAX_EVENT_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `type` is "message" when the stream named none."""

    data: str
    type: str = "message"
    id: str = ""


class SseParser:
    """Turns bytes into events, as the HTML standard describes; comments are dropped."""

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._after_cr = False
        self._first_line = True
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._type = b""
        self._id = b""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events they complete.

        Raises: ValueError when an event grows beyond all bounds.
        """
        events: list[ServerEvent] = []
        if not chunk:
            return events
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the other half of a CR LF that was cut in two
        lines = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        self._keep(lines[0])
        for line in lines[1:]:
            event = self._line(self._take())
            if event is not None:
                events.append(event)
            self._keep(line)
        return events

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        if self._held_bytes + self._data_bytes > self._max_event_bytes:
            raise ValueError("an event of the stream is too large")

    def _take(self) -> bytes:
        line = b"".join(self._pieces)
        self._pieces.clear()
        self._held_bytes = 0
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        return line

    def _line(self, line: bytes) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(value) + 1
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        data, kind = self._data, self._type
        self._data, self._type, self._data_bytes = [], b"", 0
        if not data:
            return None
        return ServerEvent(
            data=b"\n".join(data).decode("utf-8", "replace"),
            type=kind.decode("utf-8", "replace") or "message",
            id=self._id.decode("utf-8", "replace"),
        )
