"""Quantising with llama.cpp's own quantiser: real children on tiny models."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import pytest

from doubles.models import tiny_llama, tiny_model
from doubles.splitting import split_model
from doubles.waiting import until
from freehold.errors import AppError
from freehold.library.anatomy import read_anatomy, read_tensors
from freehold.library.inspection import inspect, make_entry
from freehold.library.making.child import explain
from freehold.library.making.importance import read_matrix
from freehold.library.making.workshop import WAITING, Workshop
from freehold.wire import AnyEvent, ModelEntry
from freehold.wire_files import Making, QuantiseRequest

pytestmark = pytest.mark.engine


class Bench:
    """A workshop over a folder, with a library that remembers what it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, ModelEntry] = {}
        self.events: list[AnyEvent] = []
        self.workshop = Workshop(
            folder, folder / "cache", self._find, self.take_in, self.events.append
        )

    async def _find(self, ref: str) -> ModelEntry:
        return self.entries[ref]

    async def take_in(self, path: Path, ref: str) -> ModelEntry:
        entry = make_entry(inspect(path), ref=ref, origin="made", added_at=0)
        self.entries[ref] = entry
        return entry

    async def make(self, request: QuantiseRequest) -> Making:
        begun = await self.workshop.quantise(request)
        await until(lambda: self._job(begun.id).state != "running", timeout_s=60)
        return self._job(begun.id)

    def _job(self, identifier: str) -> Making:
        return next(job for job in self.workshop.all() if job.id == identifier)


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    await bench.take_in(tiny_llama(), "llama")
    await bench.take_in(tiny_model(), "kimi")
    return bench


def answer(path: str) -> list[int]:
    """Load a model and return the first tokens of what it says."""
    llama = pytest.importorskip("llama_cpp")
    options = llama.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), options)
    assert model
    parameters = llama.llama_context_default_params()
    parameters.n_ctx, parameters.n_threads = 128, 1
    context = llama.llama_init_from_model(model, parameters)
    assert context
    sampler = llama.llama_sampler_init_greedy()
    said: list[int] = []
    tokens = [1, 2, 3]
    try:
        while len(said) < 4:
            batch = (llama.llama_token * len(tokens))(*tokens)
            assert llama.llama_decode(context, llama.llama_batch_get_one(batch, len(tokens))) == 0
            tokens = [llama.llama_sampler_sample(sampler, context, -1)]
            said += tokens
    finally:
        llama.llama_sampler_free(sampler)
        llama.llama_free(context)
        llama.llama_model_free(model)
    return said


async def test_a_model_becomes_smaller_and_still_answers(bench: Bench) -> None:
    plan = await bench.workshop.plan(QuantiseRequest(ref="llama", mix="q4_0"))
    assert plan.problem == ""
    assert plan.bytes < plan.source_bytes
    done = await bench.make(QuantiseRequest(ref="llama", mix="q4_0"))
    assert done.error is None
    assert done.state == "done"
    made = bench.entries[done.ref]
    found = read_anatomy(Path(made.path), made.ref)
    assert found.bytes_by_type == plan.bytes_by_type, "the plan is exact"
    assert found.bytes_by_type["Q4_0"] > 0
    assert abs(made.bytes - plan.bytes) < 4096
    assert not list(bench.folder.glob("made-here/.*")), "nothing unfinished is left"
    with pytest.raises(AppError) as caught:
        await bench.workshop.quantise(QuantiseRequest(ref="llama", mix="q4_0"))
    assert caught.value.code == "conflict", "a result is never written over"
    assert len(answer(made.path)) == 4


async def test_experts_go_lower_than_attention(bench: Bench) -> None:
    exact = await bench.make(QuantiseRequest(ref="kimi", mix="F16", again=True, name="exact"))
    request = QuantiseRequest(
        ref=exact.ref, mix="Q8_0", experts="Q4_0", attention="Q8_0", shared_experts="Q5_0",
        embeddings="Q5_1", output="Q8_0", tensor_types=((r"blk\.2\.ffn_down_exps", "Q4_1"),),
    )  # fmt: skip
    plan = await bench.workshop.plan(request)
    done = await bench.make(request)
    assert done.state == "done", done.error
    kinds = {row.name: row.kind for row in read_tensors(Path(bench.entries[done.ref].path))}
    assert kinds["blk.1.ffn_up_exps.weight"] == "Q4_0"
    assert kinds["blk.1.ffn_down_exps.weight"] == "Q4_0"
    assert kinds["blk.2.ffn_down_exps.weight"] == "Q4_1", "a pattern of one's own comes first"
    assert kinds["blk.1.ffn_up_shexp.weight"] == "Q5_0"
    assert kinds["blk.1.attn_q_b.weight"] == "Q8_0"
    assert kinds["token_embd.weight"] == "Q5_1"
    assert kinds["output.weight"] == "Q8_0"
    assert kinds["blk.1.ffn_gate_inp.weight"] == "F32", "routing is never quantised"
    assert plan.bytes_by_type.keys() >= {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F32"}
    assert len(answer(bench.entries[done.ref].path)) == 4


async def test_a_set_of_files_stays_a_set(bench: Bench, tmp_path: Path) -> None:
    source = tmp_path / "split"
    source.mkdir()
    paths = split_model(tiny_llama(), source, "cut-Q8_0", 3)
    await bench.take_in(paths[0], "cut")
    done = await bench.make(QuantiseRequest(ref="cut", mix="Q4_0"))
    assert done.state == "done", done.error
    made = bench.entries[done.ref]
    assert made.shards == 3
    assert Path(made.path).name == "cut-Q4_0-00001-of-00003.gguf"
    assert len(read_tensors(Path(made.path))) == len(read_tensors(tiny_llama()))
    assert len(answer(made.path)) == 4


async def test_cancelling_leaves_nothing_behind(bench: Bench) -> None:
    begun = await bench.workshop.quantise(QuantiseRequest(ref="llama", mix="Q4_0"))
    await asyncio.sleep(0)
    await bench.workshop.cancel(begun.id)
    assert bench.workshop.all()[0].state == "cancelled"
    assert list(bench.folder.glob("made-here/*")) == []
    await bench.workshop.cancel(begun.id)
    assert bench.workshop.all() == ()


async def test_one_model_is_made_after_the_other(bench: Bench) -> None:
    async with bench.workshop._turn:  # as the job before it holds it
        begun = await bench.workshop.quantise(QuantiseRequest(ref="llama", mix="Q4_0"))
        await until(lambda: bench._job(begun.id).step == WAITING)
        await bench.workshop.cancel(begun.id)
    assert bench._job(begun.id).state == "cancelled"
    assert list(bench.folder.glob("made-here/*")) == []


def test_what_llama_cpp_says_is_put_into_words() -> None:
    assert explain(["x: failed to quantize: bad tensor"], 1).message.endswith(": bad tensor")
    assert explain(["this quantization requires an imatrix!"], 1).code == "invalid_request"
    assert explain(["failed to quantize: basic_ios::clear: iostream error"], 1).code == "disk_full"
    assert "signal 9" in explain([], -9).message


async def test_low_mixes_need_a_matrix_and_take_one(bench: Bench, tmp_path: Path) -> None:
    source = "llama"
    wide = [row for row in read_tensors(tiny_llama()) if row.shape[0] % 256 == 0]
    request = QuantiseRequest(ref=source, mix="IQ2_XXS")
    plan = await bench.workshop.plan(request)
    if not wide:
        assert not plan.needs_matrix, "nothing in this model can take such a type"
        return
    assert plan.needs_matrix
    with pytest.raises(AppError) as caught:
        await bench.workshop.quantise(request)
    assert "importance matrix" in caught.value.message
    matrix = tmp_path / "llama.imatrix"
    matrix.write_bytes(_legacy({row.name: row.shape[0] for row in read_tensors(tiny_llama())}))
    done = await bench.make(
        QuantiseRequest(ref=source, mix="IQ2_XXS", matrix=str(matrix), name="low")
    )
    assert done.state == "done", done.error
    assert len(answer(bench.entries[done.ref].path)) == 4


def _legacy(widths: dict[str, int]) -> bytes:
    """Return an importance matrix in the older format: every value counts alike."""
    pieces = [struct.pack("<i", len(widths))]
    for name, width in widths.items():
        data = name.encode()
        pieces += [struct.pack("<i", len(data)), data, struct.pack("<ii", 2, width)]
        pieces.append(struct.pack(f"<{width}f", *([2.0] * width)))
    return b"".join(pieces)


async def test_what_cannot_be_made_is_refused_with_the_reason(bench: Bench) -> None:
    def request(**changes: object) -> QuantiseRequest:
        return QuantiseRequest(**{"ref": "llama", "mix": "Q4_0", **changes})  # type: ignore[arg-type]

    for wrong, words in (
        (request(mix="Q9"), "Q9 is no mix"),
        (request(experts="Q99"), "Q99 is no type"),
        (request(mix="F16", experts="Q4_0"), "quantises nothing"),
        (request(tensor_types=(("(", "Q4_0"),)), "is no pattern"),
        (request(matrix="imatrix.dat"), "is not a full path"),
        (request(matrix="/nowhere/imatrix.dat"), "There is no file"),
        (request(matrix=str(tiny_llama())), "holds no importance values"),
        (request(name="///"), "no name for a file"),
        (request(ref="kimi"), "quantised already"),
    ):
        with pytest.raises(AppError) as caught:
            await bench.workshop.plan(wrong)
        assert words in caught.value.message, wrong


async def test_a_full_disk_is_seen_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freehold.library.making.quantising.free_bytes", lambda _: 1000)
    plan = await bench.workshop.plan(QuantiseRequest(ref="llama", mix="Q4_0"))
    assert "1.00 kB free" in plan.problem
    with pytest.raises(AppError) as caught:
        await bench.workshop.quantise(QuantiseRequest(ref="llama", mix="Q4_0"))
    assert caught.value.code == "disk_full"


@pytest.mark.parametrize("cut", [0, 3, 8, 20, 40])
def test_damaged_matrices_are_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "broken.dat"
    path.write_bytes(_legacy({"blk.0.attn_q.weight": 64})[: cut or None][:cut])
    with pytest.raises(AppError):
        read_matrix(path)
    path.write_bytes(struct.pack("<i", 2_000_000_000) * 8)
    with pytest.raises(AppError):
        read_matrix(path)
