"""`freehold quantise` and `freehold convert`: what they ask for and say."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest

from doubles.client import FakeClient
from doubles.scenes import KIMI
from freehold.cli import main
from freehold.commands import convert, making, quantise


class Finishing(FakeClient):
    """A server whose models are made at the second look."""

    outcome = "done"

    def __init__(self) -> None:
        super().__init__(models=(KIMI,))
        self._looks = 0
        plain = self.files.making

        async def look() -> object:
            self._looks += 1
            if self._looks > 1:
                job = next(iter(self.files.jobs.values()))
                self.files.put(job, state=self.outcome, ref="made:Q4_0")
            return await plain()

        self.files.making = look  # type: ignore[method-assign,assignment]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Finishing:
    found = Finishing()

    async def ensure(_paths: object) -> SimpleNamespace:
        await asyncio.sleep(0)
        return SimpleNamespace(client=found)

    for module in (quantise, convert):
        monkeypatch.setattr(module, "ensure_server", ensure)
    monkeypatch.setattr(making, "LOOK_S", 0.001)
    return found


def test_a_model_is_quantised(client: Finishing, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quantize", KIMI.ref, "Q4_K_M", "--experts", "Q2_K", "--tensor-type", "a=b=Q8_0"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == "made:Q4_0 (95.2 GB) is in the library.\n"
    assert "381 GB become 95.2 GB (calculated)" in said.err
    request = client.called("files.quantise")[0]["request"]
    assert request.experts == "Q2_K"  # type: ignore[attr-defined]
    assert request.tensor_types == (("a=b", "Q8_0"),)  # type: ignore[attr-defined]


def test_a_dry_run_makes_nothing(client: Finishing, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantise", KIMI.ref, "Q4_0", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes_by_type"]
    assert client.called("files.quantise") == []
    assert main(["quantise", KIMI.ref, "Q4_0", "--tensor-type", "Q8_0"]) == 1
    assert "is not PATTERN=TYPE" in capsys.readouterr().err


def test_a_checkpoint_is_converted(client: Finishing, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "/models/checkpoint", "--type", "q8_0", "--name", "mine"]) == 0
    assert "is in the library" in capsys.readouterr().out
    request = client.called("files.convert")[0]["request"]
    assert (request.folder, request.kind) == ("/models/checkpoint", "q8_0")  # type: ignore[attr-defined]


def test_what_was_cancelled_is_no_success(
    client: Finishing, capsys: pytest.CaptureFixture[str]
) -> None:
    client.outcome = "cancelled"
    assert main(["quantise", KIMI.ref, "Q4_0"]) == 1
    assert "It was cancelled." in capsys.readouterr().err
