"""Frames arrive as they were sent, however the pipe cuts them, and never block the writer."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator

import msgspec
import pytest

from freehold.engine import pipe
from freehold.engine.protocol import (
    Cancel,
    Delta,
    Done,
    Generate,
    Load,
    ServerMessage,
    Shutdown,
    WorkerMessage,
)
from freehold.engine.requests import (
    ChatPrompt,
    GenerateRequest,
    InfillPrompt,
    LoadOptions,
    SamplingParams,
    TextPrompt,
    Timings,
    TokenLogprob,
    Usage,
)

COMMANDS: list[ServerMessage] = [
    Load(options=LoadOptions(path="/models/ä.gguf", context_tokens=4096)),
    Generate(
        request=GenerateRequest(
            id="1",
            prompt=ChatPrompt(messages=({"role": "user", "content": [{"type": "text"}]},)),
            sampling=SamplingParams(logit_bias={5: -1.5}, seed=3),
        )
    ),
    Generate(request=GenerateRequest(id="2", prompt=TextPrompt(tokens=(1, 2, 3)))),
    Generate(request=GenerateRequest(id="3", prompt=InfillPrompt(prefix="a", suffix="b"))),
    Cancel(id="1"),
    Shutdown(),
]
EVENTS: list[WorkerMessage] = [
    Delta(id="1", content="語", logprobs=(TokenLogprob(token="a", bytes=(97,), logprob=-0.5),)),
    Done(id="1", finish_reason="stop", usage=Usage(prompt_tokens=3), timings=Timings()),
]


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_commands_come_through_cut_into_single_bytes(ends: tuple[int, int]) -> None:
    reading, writing = ends
    data = b"".join(pipe.encode_frame([command]) for command in COMMANDS)

    def drip() -> None:
        for index in range(len(data)):
            os.write(writing, data[index : index + 1])
        os.close(writing)

    thread = threading.Thread(target=drip)
    thread.start()
    assert list(pipe.read_server_messages(reading)) == COMMANDS
    thread.join()


def test_events_come_through_several_in_a_frame() -> None:
    frame = pipe.encode_frame(EVENTS)
    assert pipe.frame_size(frame[: pipe.HEADER_BYTES]) == len(frame) - pipe.HEADER_BYTES
    assert pipe.decode_worker(frame[pipe.HEADER_BYTES :]) == EVENTS


def test_a_frame_over_the_limit_or_of_nonsense_is_refused() -> None:
    with pytest.raises(pipe.FrameError):
        pipe.frame_size(struct.pack("<I", pipe.MAX_FRAME_BYTES + 1))
    for body in (b"\xc1", msgspec.msgpack.encode([{"type": "explode"}]), b""):
        with pytest.raises(pipe.FrameError):
            pipe.decode_server(body)
        with pytest.raises(pipe.FrameError):
            pipe.decode_worker(body)


def test_a_full_pipe_never_blocks_the_writer(ends: tuple[int, int]) -> None:
    reading, writing = ends
    writer = pipe.FrameWriter(writing)
    large = Delta(id="1", content="x" * 3_000_000)
    writer.write([large])
    assert not writer.is_clear
    writer.wait(0.01)
    assert not writer.is_clear
    received = bytearray()
    while not writer.is_clear:
        received += os.read(reading, 1 << 16)
        writer.push()
    os.close(writing)
    while part := os.read(reading, 1 << 16):
        received += part
    assert pipe.decode_worker(bytes(received[pipe.HEADER_BYTES :])) == [large]


def test_a_frame_cut_off_ends_the_reading(ends: tuple[int, int]) -> None:
    reading, writing = ends
    os.write(writing, pipe.encode_frame([Shutdown()]) + pipe.encode_frame(COMMANDS)[:9])
    os.close(writing)
    assert list(pipe.read_server_messages(reading)) == [Shutdown()]
