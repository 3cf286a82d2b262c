"""Frames on the pipes between server and worker: a 4-byte length, then a MessagePack list.

A frame holds one or more messages, so a batch of deltas costs one write and one wake-up.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from freehold.engine.protocol import ServerMessage, WorkerMessage

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct("<I")
HEADER_BYTES: Final = _LENGTH.size

_encoder: Final = msgspec.msgpack.Encoder()
_server_decoder: Final = msgspec.msgpack.Decoder(list[ServerMessage])
_worker_decoder: Final = msgspec.msgpack.Decoder(list[WorkerMessage])


class FrameError(Exception):
    """The other side sent something that is not a frame; the connection is of no more use."""


def encode_frame(messages: Sequence[ServerMessage] | Sequence[WorkerMessage]) -> bytes:
    """Return one frame holding `messages`."""
    body = _encoder.encode(messages)
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


def frame_size(header: bytes) -> int:
    """Return the bytes that follow a frame's header.

    Raises: FrameError if they are over the limit.
    """
    (size,) = _LENGTH.unpack(header)
    if size > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {size} bytes is over the limit of {MAX_FRAME_BYTES}")
    return int(size)


def decode_server(body: bytes) -> list[ServerMessage]:
    """Return the messages of a frame the server sent."""
    try:
        return _server_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(str(error)) from error


def decode_worker(body: bytes) -> list[WorkerMessage]:
    """Return the messages of a frame the worker sent."""
    try:
        return _worker_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise FrameError(str(error)) from error


def read_server_messages(descriptor: int) -> Iterator[ServerMessage]:
    """Yield what the server sends on a blocking descriptor, until it closes its end."""
    while True:
        header = _read_exactly(descriptor, HEADER_BYTES)
        if header is None:
            return
        body = _read_exactly(descriptor, frame_size(header))
        if body is None:
            return
        yield from decode_server(body)


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class FrameWriter:
    """Writes frames without ever blocking: what the pipe does not take is kept for later.

    The caller asks `is_clear` before it makes a new frame, and goes on collecting until then;
    so at most one frame waits here.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = memoryview(b"")

    @property
    def is_clear(self) -> bool:
        """Return whether the last frame has left."""
        return not self._rest

    def write(self, messages: Iterable[WorkerMessage]) -> None:
        """Begin to write one frame; only while `is_clear`."""
        assert self.is_clear
        self._rest = memoryview(encode_frame(list(messages)))
        self.push()

    def push(self) -> None:
        """Write as much of the waiting frame as the pipe takes now.

        Raises: BrokenPipeError when the other side is gone.
        """
        while self._rest:
            try:
                written = os.write(self._descriptor, self._rest)
            except BlockingIOError:
                return
            self._rest = self._rest[written:]

    def wait(self, limit_s: float) -> None:
        """Wait until the pipe takes more, or `limit_s` have passed, and push."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLOUT)
        poller.poll(max(0.0, limit_s) * 1000)
        self.push()
