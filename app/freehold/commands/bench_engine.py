"""Measures one model three ways by turns: bare loop, engine process, HTTP streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from freehold.engine.process import ProcessEngine, worker_environment
from freehold.engine.protocol import Done, Failed
from freehold.engine.requests import GenerateRequest, LoadOptions, SamplingParams, TextPrompt
from freehold.errors import AppError

STREAMS: Final = (1, 4, 16)
CONTEXT_TOKENS: Final = 8192
START_LIMIT_S: Final = 60.0
STEP_LIMIT_S: Final = 600.0
GREEDY: Final = SamplingParams(temperature=0, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens per second of so many streams; `http` is None when it was left out."""

    streams: int
    bare: float
    engine: float
    http: float | None

    def to_dict(self) -> dict[str, object]:
        """Return the row as plain data, rates in tokens per second."""
        return {
            "streams": self.streams,
            "bare": round(self.bare, 1),
            "engine": round(self.engine, 1),
            "http": None if self.http is None else round(self.http, 1),
            "engine_share": round(self.engine / self.bare, 3),
            "http_share": None if self.http is None else round(self.http / self.bare, 3),
        }

    def to_line(self) -> str:
        """Return the row as a line of the table."""
        line = f"{self.streams:7}  {self.bare:10,.0f}  {self.engine:8,.0f} ({self.share:5.2f}x)"
        if self.http is None:
            return line
        return f"{line}  {self.http:8,.0f} ({self.http / self.bare:5.2f}x)"

    @property
    def share(self) -> float:
        """Return what of the bare speed the engine process reaches."""
        return self.engine / self.bare


def measure_engine(
    path: Path | None,
    *,
    rounds: int,
    tokens: int,
    threads: int | None,
    with_http: bool,
    tell: Callable[[str], None],
) -> list[Row]:
    """Return one row per number of streams.

    tokens: per stream; a single stream gets more, so that each measurement takes long enough.
    """
    with tempfile.TemporaryDirectory(prefix="freehold-bench-") as folder:
        if path is None:
            path = Path(folder) / "toy.gguf"
            tell("Making a toy model of 384 experts …")
            _freehold(["dev", "make-model", str(path), "--size", "small"], {})
        options = LoadOptions(
            path=str(path), parallel=max(STREAMS), context_tokens=CONTEXT_TOKENS, threads=threads
        )
        with contextlib.ExitStack() as stack:
            bare = stack.enter_context(bare_loop(options))
            http = None
            if with_http:
                tell("Starting the server …")
                http = stack.enter_context(http_streams(Path(folder) / "data", options))
            return asyncio.run(_measure(options, bare, http, rounds, tokens, tell))


Measure = Callable[[list[str], int], float]


async def _measure(
    options: LoadOptions,
    bare: Measure,
    http: Measure | None,
    rounds: int,
    tokens: int,
    tell: Callable[[str], None],
) -> list[Row]:
    engine = ProcessEngine()
    await engine.load(options)
    found: dict[tuple[int, str], list[float]] = {}
    try:
        # The first round warms caches and lets the engine find its number of threads.
        for number in range(rounds + 1):
            for streams in STREAMS:
                count = tokens if streams > 1 else tokens * 3
                texts = [f"Story {number} {index} begins" for index in range(streams)]
                rates = {"bare": await asyncio.to_thread(bare, texts, count)}
                rates["engine"] = await engine_rate(engine, texts, count)
                if http is not None:
                    rates["http"] = await asyncio.to_thread(http, texts, count)
                if number:
                    for name, rate in rates.items():
                        found.setdefault((streams, name), []).append(rate)
            tell(f"Round {number} of {rounds} is done." if number else "Warmed up.")
    finally:
        await engine.close()
    return [
        Row(
            streams,
            statistics.median(found[streams, "bare"]),
            statistics.median(found[streams, "engine"]),
            statistics.median(found[streams, "http"]) if http is not None else None,
        )
        for streams in STREAMS
    ]


async def engine_rate(engine: ProcessEngine, texts: list[str], tokens: int) -> float:
    """Return tokens per second of concurrent streams of the engine process, prompts included."""

    async def one(index: int, text: str) -> int:
        request = GenerateRequest(
            id=f"bench-{time.monotonic_ns()}-{index}",
            key=str(index),
            prompt=TextPrompt(text=text),
            max_tokens=tokens,
            sampling=GREEDY,
        )
        async for event in engine.generate(request):
            if isinstance(event, Done):
                return event.usage.completion_tokens
            if isinstance(event, Failed):
                raise AppError(event.error.code, event.error.message, event.error.hint)
        return 0

    began = time.perf_counter()
    counts = await asyncio.gather(*(one(index, text) for index, text in enumerate(texts)))
    return sum(counts) / (time.perf_counter() - began)


# --- the other two, each in processes of their own


@contextlib.contextmanager
def bare_loop(options: LoadOptions) -> Iterator[Measure]:
    """Yield a function that measures the bare loop in a child process."""
    with _child([sys.executable, "-m", "freehold.engine.bare_loop"]) as child:
        _ask(child, msgspec.to_builtins(options))

        def measure(texts: list[str], tokens: int) -> float:
            return float(_ask(child, {"prompts": texts, "tokens": tokens})["tokens_per_s"])

        yield measure


@contextlib.contextmanager
def http_streams(data: Path, options: LoadOptions) -> Iterator[Measure]:
    """Yield a function that measures streams of a server of its own, with a client beside it."""
    environment = {"FREEHOLD_DATA": str(data), "FREEHOLD_KEY": "fh-bench-" + os.urandom(16).hex()}
    server = subprocess.Popen(
        _command(["serve", "--port", "0"]),
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        address_file = data / "state" / "server.json"
        deadline = time.monotonic() + START_LIMIT_S
        while not address_file.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise AppError("internal", "The server did not start.", "Try `freehold serve`.")
            time.sleep(0.05)
        ref = json.loads(_freehold(["import", options.path, "--json"], environment))["ref"]
        load = ["load", ref, "--parallel", str(options.parallel), "--context", str(CONTEXT_TOKENS)]
        if options.threads is not None:
            load += ["--threads", str(options.threads)]
        _freehold(load, environment)
        address = json.loads(address_file.read_text())
        client_command = [sys.executable, "-m", "freehold.commands.bench_client"]
        with _child(client_command, environment) as client:

            def measure(texts: list[str], tokens: int) -> float:
                asked = {
                    "port": address["port"],
                    "model": ref,
                    "prompts": texts,
                    "tokens": tokens,
                }
                answer = _ask(client, asked)
                if "error" in answer:
                    raise AppError("internal", f"The server answered: {answer['error']}.")
                return float(answer["tokens_per_s"])

            yield measure
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10)
        server.kill()
        server.wait()


@contextlib.contextmanager
def _child(
    command: list[str], environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**worker_environment(os.environ), **(environment or {})},
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()


def _ask(child: subprocess.Popen[str], question: object) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(question) + "\n")
    child.stdin.flush()
    line = child.stdout.readline()
    if not line:
        raise AppError("internal", "A measuring process ended early.", "Try another model.")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-m", "freehold", *arguments]


def _freehold(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        _command(arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=STEP_LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise AppError(
            "internal", f"`freehold {arguments[0]}` failed: {done.stderr.strip()[-300:]}"
        )
    return done.stdout
