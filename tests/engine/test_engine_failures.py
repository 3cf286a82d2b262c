"""What cannot be loaded is refused with its cause; a worker that dies or hangs is reported."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from doubles.models import tiny_model
from freehold.engine.process import ProcessEngine, worker_environment
from freehold.engine.protocol import Delta, Done, PrefillProgress
from freehold.engine.requests import (
    BufferOverride,
    GenerateRequest,
    LoadOptions,
    Placement,
    SamplingParams,
    TextPrompt,
)
from freehold.errors import AppError

pytestmark = pytest.mark.engine

STALL_S = 3.0
ENDLESS = SamplingParams(temperature=0, ignore_eos=True)


async def _refused(options: LoadOptions) -> AppError:
    engine = ProcessEngine()
    with pytest.raises(AppError) as refused:
        await engine.load(options)
    assert engine.pid is None
    assert refused.value.hint
    return refused.value


# --- files that cannot be loaded


async def test_a_fifo_a_folder_a_device_and_a_missing_file_are_refused_at_once(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "model.gguf"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, Path("/dev/zero"), tmp_path / "missing.gguf"):
        began = time.monotonic()
        error = await _refused(LoadOptions(path=str(path)))
        assert time.monotonic() - began < 0.1
        assert error.code == "invalid_model"


async def test_what_is_not_a_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    for content in (b"", b"GG", b"PK\x03\x04" + b"x" * 100):
        path.write_bytes(content)
        assert (await _refused(LoadOptions(path=str(path)))).code == "invalid_model"


@pytest.mark.parametrize("keep", [4, 24, 5000, 60_000, 1_000_000])
async def test_a_truncated_model_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_model().read_bytes()[:keep])
    error = await _refused(LoadOptions(path=str(path)))
    assert error.code == "invalid_model"
    assert error.message


async def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(tiny_model().read_bytes().replace(b"deepseek2", b"deepseek9"))
    error = await _refused(LoadOptions(path=str(path)))
    assert error.code == "unsupported_architecture"
    assert "deepseek9" in error.message


async def test_a_context_larger_than_trained_is_refused_with_the_numbers() -> None:
    error = await _refused(LoadOptions(path=str(tiny_model()), context_tokens=1_000_000))
    assert error.code == "invalid_request"
    assert error.detail["context_tokens"] == 1_000_000
    assert error.detail["trained_context_tokens"] == 32_768


async def test_a_model_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    shutil.copy(tiny_model(), path)
    os.truncate(path, psutil.virtual_memory().total + psutil.swap_memory().total + 2**30)
    error = await _refused(LoadOptions(path=str(path), memory="read"))
    assert error.code == "does_not_fit"
    assert error.detail["model_bytes"] > error.detail["available_bytes"]  # type: ignore[operator]


@pytest.mark.parametrize(
    "options",
    [
        {"parallel": 0},
        {"parallel": 10_000},
        {"batch_tokens": -1},
        {"threads": 10**6},
        {"kv_type_k": "q99"},
        {"placement": Placement(devices=("CUDA77",))},
        {"placement": Placement(tensor_split=(-1.0,))},
        {"placement": Placement(overrides=(BufferOverride(pattern="(", buffer="CPU"),))},
        {"placement": Placement(overrides=(BufferOverride(pattern="x", buffer="GPU9"),))},
    ],
)
async def test_wrong_load_options_are_refused(options: dict[str, object]) -> None:
    error = await _refused(LoadOptions(path=str(tiny_model()), **options))  # type: ignore[arg-type]
    assert error.code == "invalid_request"


# --- workers that die or hang


async def _reach(engine: ProcessEngine, phase: str) -> asyncio.Task[object]:
    """Bring an engine into a phase and return the task that waits for it."""
    options = LoadOptions(path=str(tiny_model()), context_tokens=16_384, threads=1)
    if phase == "load":
        loading = asyncio.create_task(engine.load(options))
        while engine.pid is None:  # noqa: ASYNC110 - set by a child process starting
            await asyncio.sleep(0)
        return loading
    await engine.load(options)
    text = "word " * 6000 if phase == "prefill" else "word"
    request = GenerateRequest(id="r", prompt=TextPrompt(text=text), sampling=ENDLESS)
    reached = asyncio.Event()

    async def read() -> None:
        async for event in engine.generate(request):
            if isinstance(event, PrefillProgress if phase == "prefill" else Delta):
                reached.set()

    reading = asyncio.create_task(read())
    await reached.wait()
    return reading


@pytest.mark.parametrize("phase", ["load", "prefill", "decode"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_killed_worker_fails_its_requests_at_once(
    phase: str, number: signal.Signals
) -> None:
    engine = ProcessEngine()
    waiting = await _reach(engine, phase)
    pid = engine.pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, number)
    with pytest.raises(AppError) as failed:
        await waiting
    assert time.monotonic() - began < 1.0
    assert failed.value.code == "engine_crashed"
    assert number.name in failed.value.message
    assert failed.value.detail["signal"] == number.name
    assert failed.value.retryable
    await engine.close()
    assert not psutil.pid_exists(pid)
    if phase != "load":
        with pytest.raises(AppError, match="ended by"):
            await engine.stats()


@pytest.mark.parametrize("phase", ["load", "prefill", "decode"])
async def test_a_stopped_worker_is_noticed_and_ended(phase: str) -> None:
    engine = ProcessEngine(stall_s=STALL_S)
    waiting = await _reach(engine, phase)
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(STALL_S * 3):
        with pytest.raises(AppError) as failed:
            await waiting
    assert failed.value.code == "engine_stalled"
    await engine.close()
    assert not psutil.pid_exists(pid)


async def test_a_worker_stopped_while_idle_is_noticed_with_the_next_request() -> None:
    engine = ProcessEngine(stall_s=STALL_S)
    await engine.load(LoadOptions(path=str(tiny_model()), threads=1))
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    async with asyncio.timeout(STALL_S * 3):
        with pytest.raises(AppError) as failed:
            await engine.tokenize(text="hello")
    assert failed.value.code == "engine_stalled"
    await engine.close()


async def test_a_stopped_worker_can_be_closed() -> None:
    engine = ProcessEngine()
    await engine.load(LoadOptions(path=str(tiny_model()), threads=1))
    pid = engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(3):
        await engine.close()
    assert not psutil.pid_exists(pid)


async def test_closing_while_busy_ends_the_process_and_its_helpers() -> None:
    engine = ProcessEngine()
    waiting = await _reach(engine, "decode")
    assert engine.pid is not None
    family = [psutil.Process(engine.pid), *psutil.Process(engine.pid).children(recursive=True)]
    began = time.monotonic()
    await engine.close()
    assert time.monotonic() - began < 2
    with pytest.raises(AppError) as failed:
        await waiting
    assert failed.value.code == "cancelled"
    _gone, alive = await asyncio.to_thread(psutil.wait_procs, family, 2)
    assert not alive
    await engine.close()


async def test_a_long_answer_to_a_stopped_reader_is_kept_and_merged() -> None:
    engine = ProcessEngine()
    await engine.load(LoadOptions(path=str(tiny_model()), context_tokens=2048, threads=1))
    request = GenerateRequest(id="r", prompt=TextPrompt(text="word"), sampling=ENDLESS)
    stream = engine.generate(request)
    tokens = 0
    async for event in stream:
        if isinstance(event, Delta):
            tokens += event.tokens
            break
    while (await engine.stats()).running:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)
    rest = [event async for event in stream]
    assert len(rest) < 30
    done = rest[-1]
    assert isinstance(done, Done)
    tokens += sum(event.tokens for event in rest if isinstance(event, Delta))
    assert tokens == done.usage.completion_tokens > 2000
    await engine.close()


# --- what a worker may see, and that it never outlives its server


def test_no_secret_reaches_the_worker() -> None:
    environment = worker_environment(
        {"PATH": "/bin", "FREEHOLD_KEY": "k", "HF_TOKEN": "t", "CUDA_VISIBLE_DEVICES": "0"}
    )
    assert environment["CUDA_VISIBLE_DEVICES"] == "0"
    assert not {"k", "t"} & set(environment.values())


def test_the_worker_dies_with_its_server(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(
        textwrap.dedent(
            """
            import asyncio, sys
            from freehold.engine.process import ProcessEngine
            from freehold.engine.requests import LoadOptions

            async def main():
                engine = ProcessEngine()
                await engine.load(LoadOptions(path=sys.argv[1], threads=1))
                print(engine.pid, flush=True)
                await asyncio.sleep(60)

            asyncio.run(main())
            """
        )
    )
    server = subprocess.Popen(
        [sys.executable, str(script), str(tiny_model())],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "app")},
    )
    assert server.stdout is not None
    worker = psutil.Process(int(server.stdout.readline()))
    server.kill()
    server.wait()
    server.stdout.close()
    worker.wait(timeout=3)
