"""A GPU pack is added to the ordinary llama.cpp, or refused with the reason; nothing breaks.

Each case runs in the probe's own process: a backend that is loaded stays for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from doubles.gpu_pack import make_pack
from freehold.doctor.native import NativeState, check_pack


def _probe(folder: Path, **variables: str) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-m", "freehold.engine.probe"],
        env={**os.environ, "FREEHOLD_GPU_PACK": str(folder), **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def test_without_a_pack_nothing_changes(tmp_path: Path) -> None:
    report = _probe(tmp_path)
    assert report["pack"]["state"] == "absent"
    assert check_pack(NativeState(report, {})).ok


def test_a_pack_is_loaded_and_its_kernels_are_named(tmp_path: Path) -> None:
    report = _probe(make_pack(tmp_path / "pack"), FREEHOLD_MOE="1")
    assert report["pack"]["state"] == "loaded"
    assert report["pack"]["kernels"] == [["stream", True], ["router", False]]
    check = check_pack(NativeState(report, {}))
    assert check.ok
    assert "9.8.7 for sm_90: stream off" in check.detail
    assert "(no GPU is seen)" in check.detail
    assert [device["kind"] for device in report["devices"]] == ["CPU"]


def test_kernels_nobody_asked_for_stay_off(tmp_path: Path) -> None:
    report = _probe(make_pack(tmp_path / "pack"))
    assert report["pack"]["kernels"] == [["stream", False], ["router", False]]
    check = check_pack(NativeState(report, {}))
    assert check.ok
    assert "FREEHOLD_MOE=1" in check.fix


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"hooked": False}, "has no hooks"),
        ({"refuses": True}, "speak different versions"),
        ({"other_version": True}, "another version of its interface"),
    ],
)
def test_a_backend_without_fitting_kernels_is_used_alone(
    tmp_path: Path, options: dict[str, bool], reason: str
) -> None:
    report = _probe(make_pack(tmp_path / "pack", **options))
    assert report["pack"]["state"] == "loaded"
    assert reason in report["pack"]["reason"]
    check = check_pack(NativeState(report, {}))
    assert not check.ok
    assert not check.needed


@pytest.mark.parametrize("content", [b"", b"rubbish" * 500])
def test_a_damaged_pack_is_refused_and_the_cpu_goes_on(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "libggml-cuda.so").write_bytes(content)
    report = _probe(tmp_path)
    assert report["pack"]["state"] == "refused"
    assert "does not load" in report["pack"]["reason"]
    assert report["devices"]
    assert "make gpu-pack" in check_pack(NativeState(report, {})).fix


def test_a_pack_without_its_kernels_says_so(tmp_path: Path) -> None:
    folder = make_pack(tmp_path / "pack")
    (folder / "libmoe_kernels.so").unlink()
    assert "libmoe_kernels.so does not load" in _probe(folder)["pack"]["reason"]
