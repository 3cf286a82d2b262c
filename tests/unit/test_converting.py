"""Converting a checkpoint: what is refused, what is typed once, and the child at work."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from doubles.models import tiny_llama
from doubles.waiting import until
from freehold.errors import AppError
from freehold.library.inspection import inspect, make_entry
from freehold.library.making import converting
from freehold.library.making.workshop import Workshop
from freehold.wire import ModelEntry
from freehold.wire_files import ConvertRequest, Making

# Stands in for llama.cpp's converter: says what it does as that one says it.
SCRIPT = """
import pathlib, shutil, sys
folder, target = sys.argv[1], sys.argv[sys.argv.index("--outfile") + 1]
kind = sys.argv[sys.argv.index("--outtype") + 1]
assert kind in ("auto", "f16", "bf16", "q8_0")
print("INFO:hf-to-gguf:Loading model: x", file=sys.stderr)
print("INFO:hf-to-gguf:blk.0.attn_q.weight,  torch.bfloat16 --> F16", file=sys.stderr)
if (pathlib.Path(folder) / "bad").exists():
    print("ERROR:hf-to-gguf:Model NoneForCausalLM is not supported", file=sys.stderr)
    sys.exit(1)
if (pathlib.Path(folder) / "slow").exists():
    pathlib.Path(target).write_bytes(b"GGUF")
    sys.stdin.read()
    import time
    time.sleep(60)
sys.stderr.write("Writing:  50%|#####     | 1/2\\rWriting: 100%|##########| 2/2\\n")
shutil.copy(MODEL, target)
"""
REQUIREMENTS = """-r ./requirements-convert_legacy_llama.txt
--find-links https://download.example.org/whl/cpu

## a comment
torch==2.11.0
"""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "My-Model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "build/src/llama_cpp_python-1.2.3/vendor/llama.cpp"
    (folder / "requirements").mkdir(parents=True)
    script = SCRIPT.replace("MODEL", repr(str(tiny_llama())))
    (folder / converting.SCRIPT).write_text(script)
    (folder / converting.REQUIREMENTS[0]).write_text(REQUIREMENTS)
    (folder / converting.REQUIREMENTS[1]).write_text("numpy~=2.2.6\nprotobuf>=4.21.0,<5.0.0\n")
    monkeypatch.setenv("FREEHOLD_BUILD_CACHE", str(tmp_path / "build"))
    monkeypatch.setenv("FREEHOLD_CONVERTER_PYTHON", sys.executable)
    monkeypatch.setattr(converting, "MODULES", ("json",))
    return folder


class Bench:
    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, ModelEntry] = {}
        self.folder = folder
        (folder / "models").mkdir(exist_ok=True)
        self.workshop = Workshop(
            folder / "models", folder / "cache", self._find, self._take_in, lambda _event: None
        )

    async def _find(self, ref: str) -> ModelEntry:
        return self.entries[ref]

    async def _take_in(self, path: Path, ref: str) -> ModelEntry:
        self.entries[ref] = make_entry(inspect(path), ref=ref, origin="made", added_at=0)
        return self.entries[ref]

    async def convert(self, folder: Path, **changes: object) -> Making:
        await self.workshop.convert(ConvertRequest(folder=str(folder), **changes))  # type: ignore[arg-type]
        await until(lambda: self.workshop.all()[0].state != "running", timeout_s=30)
        return self.workshop.all()[0]

    def left(self) -> list[str]:
        return [path.name for path in (self.folder / "models/made-here").glob(".*")]


async def test_a_checkpoint_becomes_a_model(tmp_path: Path, checkpoint: Path, source: Path) -> None:
    bench = Bench(tmp_path)
    done = await bench.convert(checkpoint, kind="f16")
    assert done.error is None
    assert (done.state, done.kind, done.name) == ("done", "convert", "My-Model")
    made = bench.entries[done.ref]
    assert Path(made.path) == tmp_path / "models/made-here/My-Model/My-Model.gguf"
    assert made.ready
    assert bench.left() == []


async def test_what_the_converter_cannot_do_is_said(
    tmp_path: Path, checkpoint: Path, source: Path
) -> None:
    (checkpoint / "bad").touch()
    bench = Bench(tmp_path)
    failed = await bench.convert(checkpoint)
    assert failed.error is not None
    assert failed.error.code == "unsupported_architecture"
    assert "LlamaForCausalLM" in failed.error.message
    assert bench.left() == []


async def test_cancelling_ends_the_converter(
    tmp_path: Path, checkpoint: Path, source: Path
) -> None:
    (checkpoint / "slow").touch()
    bench = Bench(tmp_path)
    begun = await bench.workshop.convert(ConvertRequest(folder=str(checkpoint)))
    await until(lambda: bench.workshop.all()[0].step != "", timeout_s=30)
    assert bench.workshop.all()[0].step == "blk.0.attn_q.weight"
    await bench.workshop.cancel(begun.id)
    assert bench.workshop.all()[0].state == "cancelled"
    assert bench.left() == []
    assert bench.entries == {}


async def test_the_lines_to_type_come_from_the_pinned_source(
    tmp_path: Path, checkpoint: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(converting, "MODULES", ("json", "no_such_module_here"))
    with pytest.raises(AppError) as caught:
        await Bench(tmp_path).workshop.convert(ConvertRequest(folder=str(checkpoint)))
    assert caught.value.code == "not_supported"
    assert "no_such_module_here is missing" in caught.value.message
    home = tmp_path / "cache/converter"
    assert caught.value.detail["commands"] == [
        f"python3 -m venv {home}",
        f"{home}/bin/pip install 'torch==2.11.0' 'numpy~=2.2.6' 'protobuf>=4.21.0,<5.0.0'",
    ]
    monkeypatch.delenv("FREEHOLD_CONVERTER_PYTHON")
    with pytest.raises(AppError) as caught:
        await Bench(tmp_path).workshop.convert(ConvertRequest(folder=str(checkpoint)))
    assert "PyTorch" in caught.value.message
    monkeypatch.setenv("FREEHOLD_BUILD_CACHE", str(tmp_path / "nowhere"))
    with pytest.raises(AppError) as caught:
        await Bench(tmp_path).workshop.convert(ConvertRequest(folder=str(checkpoint)))
    assert "make run" in caught.value.hint


async def test_folders_that_are_no_checkpoint(tmp_path: Path, checkpoint: Path) -> None:
    def problem(text: str) -> str:
        with pytest.raises(AppError) as caught:
            converting.read_checkpoint(text)
        return caught.value.message

    assert "no folder" in problem("relative/path")
    assert "no folder" in problem(str(tmp_path / "nowhere"))
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no weights in safetensors" in problem(str(empty))
    (checkpoint / "tokenization_x.py").write_text("print('run me')")
    assert "tokenization_x.py" in problem(str(checkpoint))
    (checkpoint / "tokenization_x.py").unlink()
    for broken in ("{", "[]", '{"architectures": 3}', '{"architectures": []}'):
        (checkpoint / "config.json").write_text(broken)
        assert "no config.json" in problem(str(checkpoint))


def test_the_real_source_says_what_it_needs() -> None:
    source = Path.home() / ".cache/freehold-build/src"
    found = sorted(source.glob(f"{converting.SOURCES}/{converting.SCRIPT}"))
    if not found:
        pytest.skip("the sources of llama.cpp are not here")
    words = converting.pinned(found[-1].parent)
    assert any(word.startswith("torch==") for word in words)
    assert not any("://" in word for word in words)
