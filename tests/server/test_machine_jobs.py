"""Tuning and learning on a real server with a real, tiny model."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from doubles.models import tiny_model
from doubles.server import FakeLibrary, LiveServer, fake_entry, fake_paths
from freehold.client.http import HttpClient
from freehold.engine.process import ProcessEngine
from freehold.errors import AppError
from freehold.server.machine_jobs import MachineJobs, Tell
from freehold.server.wiring import build_house
from freehold.wire import LoadRequest
from freehold.wire_machine import MachineJob, PlanRequest

pytestmark = pytest.mark.engine

JOB = MachineJob(kind="calibrate", fraction=0.0, words="Beginning")


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[LiveServer, HttpClient]]:
    library = FakeLibrary([fake_entry("tiny", path=str(tiny_model()))])
    server = LiveServer(
        lambda: build_house(fake_paths(folder), library=library, make_engine=ProcessEngine)
    )
    await asyncio.to_thread(server.start)
    client = HttpClient(server.url, server.key)
    try:
        yield server, client
    finally:
        await client.close()
        await asyncio.to_thread(server.stop)


async def test_a_model_is_tuned_for_real_and_taken_back(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client):
        machine = client.machine
        await machine.tune("tiny", 5.0)

        job = (await machine.state()).job
        while job is not None and not job.is_over:  # it ends by its own budget
            await asyncio.sleep(0.1)
            job = (await machine.state()).job
        assert job is not None
        assert job.error is None
        found = (await machine.setup("tiny")).tuned
        assert found is not None
        assert found.rows[0].settings == LoadRequest()
        assert all(row.decode_tokens_per_s > 0 for row in found.rows if not row.problem)
        assert found.in_use
        best = found.rows[found.best].settings
        assert (await machine.setup("tiny")).options.threads == best.threads
        reverted = await machine.use_tuned("tiny", as_tuned=False)
        assert reverted.options.threads is None
        assert reverted.tuned is not None
        assert reverted.tuned.in_use == (best == LoadRequest())


async def test_real_answers_correct_what_is_predicted(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, client):
        request = PlanRequest(ref="tiny", context_tokens=2048, parallel=1)
        before = await client.machine.plan(request)
        assert before.real is None
        await client.load_model("tiny", LoadRequest(context_tokens=2048, parallel=1))
        for _ in range(6):
            await answer(server)
        await asyncio.to_thread(server.call, server.house.learner.close)
        plan = await client.machine.plan(request)
        assert plan.real is not None
        # On a busy machine an answer may be too far off to be believed.
        assert 1 <= plan.real.count <= 6
        assert plan.basis == "measured"
        assert before.curve is not None
        assert plan.curve is not None
        assert plan.curve.token_s == pytest.approx(before.curve.token_s * plan.real.correction)


async def answer(server: LiveServer) -> None:
    async with httpx.AsyncClient(timeout=60) as plain:
        response = await plain.post(
            f"{server.url}/v1/completions",
            json={"model": "tiny", "prompt": "Once", "max_tokens": 32, "ignore_eos": True},
            headers={"Authorization": f"Bearer {server.key}"},
        )
    assert response.status_code == 200, response.text


async def test_one_job_at_a_time_and_its_end_is_told() -> None:
    jobs = MachineJobs()
    gate = asyncio.Event()

    async def work(tell: Tell) -> None:
        tell(0.5, "half", ())
        await gate.wait()

    jobs.begin(JOB, work)
    with pytest.raises(AppError, match="measured already"):
        jobs.begin(JOB, work)
    await asyncio.sleep(0)
    assert jobs.state is not None
    assert (jobs.state.fraction, jobs.state.words) == (0.5, "half")
    assert jobs.state.left_s is not None
    gate.set()
    await jobs.wait()
    assert jobs.state.is_over
    assert jobs.state.error is None
    assert jobs.state.fraction == 1.0


@pytest.mark.allow_logs("measuring the machine failed")
@pytest.mark.parametrize(
    ("error", "code"), [(AppError("disk_full", "Full.", ""), "disk_full"), (KeyError(), "internal")]
)
async def test_what_ends_a_job_early_is_told(error: Exception, code: str) -> None:
    jobs = MachineJobs()

    async def work(_tell: Tell) -> None:
        raise error

    jobs.begin(JOB, work)
    await jobs.wait()
    assert jobs.state is not None
    assert jobs.state.error is not None
    assert jobs.state.error.code == code
    assert not jobs.is_running
