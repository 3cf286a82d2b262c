"""Tuning's search over frozen values with a scripted machine, and what real runs teach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.machine.gauge import Reading
from freehold.machine.learning import KEPT, MOST_FACTOR, Runs, run_key
from freehold.machine.memory import MOST_ENTRIES, MachineMemory, Remembered
from freehold.machine.tune_runs import tune
from freehold.machine.tuning import (
    Axis,
    Tuned,
    best_row,
    choose_axes,
    next_trial,
    only_tuned,
    setting_words,
)
from freehold.wire import LoadRequest
from freehold.wire_machine import TuneRow

AXES = (
    Axis("threads", (16, 8, 4)),
    Axis("micro_batch_tokens", (256, 512, 1024)),
    Axis("flash_attention", ("on", "off")),
    Axis("kv_type", ("f16", "q8_0")),
)
BEFORE = LoadRequest()


class Bench:
    """A scripted machine: settings in, speeds out; every launch takes ten seconds."""

    def __init__(self, speed: Callable[[LoadRequest], float]) -> None:
        self._speed = speed
        self.now_s = 0.0
        self.launched: list[LoadRequest] = []

    async def launch(self, settings: LoadRequest) -> Reading:
        self.launched.append(settings)
        self.now_s += 10.0
        rate = self._speed(settings)
        if rate <= 0:
            raise AppError("does_not_fit", "It does not fit so.", "")
        return Reading(1, 512, 520.0, 1 / rate, 512 / (10 * rate), 512)

    async def run(self, budget_s: float) -> tuple[TuneRow, ...]:
        return await tune(
            AXES, BEFORE, self.launch, lambda *_: None, budget_s=budget_s, clock=lambda: self.now_s
        )


def speed(settings: LoadRequest) -> float:
    """Best with 4 threads, batches of 1024 and an 8-bit cache; flash attention does not load."""
    rate = 10.0
    rate *= {None: 1.0, 16: 0.5, 8: 1.1, 4: 1.4}[settings.threads]
    rate *= {None: 1.0, 256: 0.9, 512: 1.0, 1024: 1.2}[settings.micro_batch_tokens]
    rate *= {None: 1.0, "f16": 1.0, "q8_0": 1.1}[settings.kv_type_k]
    return -1.0 if settings.flash_attention == "on" else rate


async def test_the_search_finds_the_best_of_every_setting() -> None:
    rows = await Bench(speed).run(budget_s=1000)
    best = best_row(rows)
    assert best is not None
    assert (best.settings.threads, best.settings.micro_batch_tokens) == (4, 1024)
    assert best.settings.kv_type_k == best.settings.kv_type_v == "q8_0"
    assert best.settings.flash_attention != "on"
    assert rows[0].settings == BEFORE
    assert len({repr(row.settings) for row in rows}) == len(rows)  # nothing twice
    assert [row.problem for row in rows if row.settings.flash_attention == "on"] == [
        "It does not fit so."
    ]


async def test_the_search_keeps_to_its_time() -> None:
    bench = Bench(speed)
    rows = await bench.run(budget_s=65)
    assert bench.now_s <= 65
    assert len(rows) == 6
    # Each setting had its turn before any had a second one.
    assert [row.settings.threads for row in rows[1:4]] == [16, 8, 4]
    assert rows[4].settings.threads == 4  # the next setting is tried beside the best so far


async def test_noise_changes_nothing() -> None:
    rows = await Bench(lambda settings: 10.2 if settings.threads == 8 else 10.0).run(1000)
    assert best_row(rows) == rows[0]


async def test_settings_that_do_not_load_at_all_end_it() -> None:
    bench = Bench(lambda _settings: -1.0)
    rows = await bench.run(1000)
    assert len(rows) == 1
    assert best_row(rows) is None


async def test_what_is_tried_is_told() -> None:
    told: list[tuple[float, str, int]] = []
    bench = Bench(speed)
    await tune(
        AXES, BEFORE, bench.launch, lambda f, w, rows: told.append((f, w, len(rows))),
        budget_s=45, clock=lambda: bench.now_s,
    )  # fmt: skip
    assert told[0] == (0.0, "Trying as the engine chooses", 0)
    assert told[1][1] == "Trying 16 threads"
    assert [count for _, _, count in told] == [0, 1, 2, 3]
    assert told[-1][0] == pytest.approx(30 / 45)


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=20), st.floats(0, 100))
def test_the_next_trial_is_new_or_none(rates: list[float], left_s: float) -> None:
    rows: list[TuneRow] = []
    for rate in rates:
        trial = next_trial(AXES, BEFORE, rows, left_s)
        if trial is None:
            assert left_s < 1.0 or len(rows) >= 10
            return
        assert trial not in [row.settings for row in rows]
        rows.append(TuneRow(settings=trial, turn_s=rate, took_s=1.0))


def test_only_settings_that_matter_are_tried() -> None:
    names = [a.name for a in choose_axes(
        cores=2, threads=2, gpus=0, expert_layers=60, planned_expert_layers=60
    )]  # fmt: skip
    assert names == ["threads", "micro_batch_tokens", "flash_attention", "kv_type"]
    first, *_ = choose_axes(
        cores=32, threads=64, gpus=1, expert_layers=60, planned_expert_layers=59
    )
    assert first == Axis("cpu_expert_layers", (57,))  # never more layers than there are
    counts = choose_axes(cores=32, threads=64, gpus=0, expert_layers=0, planned_expert_layers=0)
    assert counts[0].values == (64, 32, 31, 16)


def test_expert_kernels_are_tried_where_they_are() -> None:
    facts = {"cores": 8, "threads": 8, "expert_layers": 9, "planned_expert_layers": 0}
    with_them = choose_axes(gpus=1, has_kernels=True, **facts)
    assert Axis("expert_kernels", (True, False)) in with_them
    for axes in (choose_axes(gpus=1, **facts), choose_axes(gpus=0, has_kernels=True, **facts)):
        assert all(axis.name != "expert_kernels" for axis in axes)
    assert setting_words(LoadRequest(expert_kernels=False)) == "expert kernels off"


def test_settings_in_words() -> None:
    assert setting_words(LoadRequest()) == "as the engine chooses"
    settings = LoadRequest(threads=1, micro_batch_tokens=512, flash_attention="off")
    assert setting_words(settings) == "1 thread, batches of 512, flash attention off"
    asked = LoadRequest(context_tokens=4096, threads=3, kv_type_k="q8_0")
    assert only_tuned(asked) == LoadRequest(threads=3, kv_type_k="q8_0")


# --- learning --------------------------------------------------------------------------------


def test_one_odd_run_does_not_move_the_ratio() -> None:
    runs = Runs()
    for _ in range(9):
        runs = runs.with_run(1.5, 10.0)
    steady = runs.ratio
    assert steady == pytest.approx(1.5, rel=0.05)
    odd = runs.with_run(20.0, 0.7)
    assert odd.ratio == pytest.approx(steady, rel=0.02)
    assert odd.tokens_per_s == 10.0
    assert odd.count == 10


def test_the_first_run_is_half_believed() -> None:
    assert Runs().ratio == 1.0
    assert Runs().with_run(4.0, 5.0).ratio == pytest.approx(2.0)
    assert Runs().tokens_per_s is None


def test_a_machine_that_changed_is_followed() -> None:
    runs = Runs()
    for ratio in [1.0] * KEPT + [2.0] * KEPT:
        runs = runs.with_run(ratio, 1.0)
    assert runs.ratio == pytest.approx(2.0, rel=0.05)
    assert len(runs.ratios) == KEPT


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf"), MOST_FACTOR * 2])
def test_figures_that_cannot_be_are_left_out(ratio: float) -> None:
    assert Runs().with_run(ratio, 10.0) == Runs()
    assert Runs().with_run(1.0, float("nan")) == Runs()


@given(st.lists(st.floats(1 / 40, 40), max_size=60))
def test_a_correction_is_always_a_sane_factor(ratios: list[float]) -> None:
    runs = Runs()
    for ratio in ratios:
        runs = runs.with_run(ratio, 1.0)
    assert 1 / MOST_FACTOR <= runs.ratio <= MOST_FACTOR


def test_placements_are_learned_apart() -> None:
    one = run_key("m", "/a.gguf", LoadRequest(devices=("CUDA0",), gpu_layers=20))
    two = run_key("m", "/a.gguf", LoadRequest(devices=("CUDA0",), gpu_layers=21))
    cpu = run_key("m", "/a.gguf", LoadRequest(devices=(), gpu_layers=0))
    assert len({one, two, cpu}) == 3
    longer = LoadRequest(devices=(), gpu_layers=0, context_tokens=99_999)
    assert run_key("m", "/a.gguf", longer) == cpu


def test_what_was_learned_is_kept_and_bounded(tmp_path: Path) -> None:
    memory = MachineMemory(tmp_path / "machine.json")
    memory.note_run("a", 1.2, 9.0)
    found = MachineMemory(tmp_path / "machine.json").runs("a")
    assert found is not None
    assert found.rates == (9.0,)
    memory.change(_full)
    memory.note_run("new", 1.0, 1.0)
    runs = memory.read().runs
    assert len(runs) == MOST_ENTRIES
    assert "new" in runs
    assert "a" not in runs


def _full(held: Remembered) -> Remembered:
    many = {f"old-{n}": Runs() for n in range(MOST_ENTRIES)}
    return msgspec.structs.replace(held, runs={"a": Runs(), **many})


@pytest.mark.allow_logs("a run was not remembered")
def test_a_full_disk_does_not_end_an_answer(tmp_path: Path) -> None:
    memory = MachineMemory(tmp_path / "missing" / "machine.json")
    memory.note_run("a", 1.0, 1.0)
    assert memory.runs("a") is None


def test_what_tuning_found_can_be_forgotten(tmp_path: Path) -> None:
    memory = MachineMemory(tmp_path / "machine.json")
    row = TuneRow(settings=BEFORE, turn_s=1.0)
    found = Tuned(ref="m", taken_at=1.0, rows=(row,), best=BEFORE, before=BEFORE)
    memory.keep_tuned("k", found)
    assert memory.tuned("k") == found
    memory.keep_tuned("k", None)
    assert memory.tuned("k") is None
