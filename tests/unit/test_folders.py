"""Models in other programs' folders are found where they lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from freehold.library.folders import Found, Root, find_models, known_roots


def touch(path: Path, data: bytes = b"GGUF") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def find(root: Root) -> list[tuple[str, str]]:
    return [(str(item.path.relative_to(root.path)), item.ref) for item in find_models([root])]


def test_plain_folders(tmp_path: Path) -> None:
    touch(tmp_path / "a.gguf")
    touch(tmp_path / "deep" / "er" / "B.GGUF")
    touch(tmp_path / "k-00001-of-00002.gguf")
    touch(tmp_path / "k-00002-of-00002.gguf")
    touch(tmp_path / "c.gguf.part")
    touch(tmp_path / ".hidden.gguf")
    touch(tmp_path / "readme.md")
    assert find(Root(tmp_path, "mine")) == [
        ("a.gguf", ""),
        ("k-00001-of-00002.gguf", ""),
        ("deep/er/B.GGUF", ""),
    ]


def test_missing_folders_hold_nothing(tmp_path: Path) -> None:
    assert find_models([Root(tmp_path / "none", "x"), Root(tmp_path / "o", "y", "ollama")]) == []


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "m.gguf")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    assert find(Root(tmp_path, "x")) == [("a/m.gguf", "")]


def test_depth_is_bounded(tmp_path: Path) -> None:
    touch(tmp_path / Path(*"abcdefghijkl") / "m.gguf")
    assert find(Root(tmp_path, "x")) == []


def test_time_is_bounded(tmp_path: Path) -> None:
    touch(tmp_path / "m.gguf")
    assert find_models([Root(tmp_path, "x")], longest_s=-1.0) == []


def test_one_file_found_twice_counts_once(tmp_path: Path) -> None:
    first = touch(tmp_path / "a" / "m.gguf")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link.gguf").symlink_to(first)
    roots = [Root(tmp_path / "a", "first"), Root(tmp_path / "b", "second")]
    assert find_models(roots) == [Found(first, "first")]


def test_hugging_face(tmp_path: Path) -> None:
    repo = tmp_path / "models--unsloth--Kimi-K2-GGUF"
    blob = touch(repo / "blobs" / "abc")
    snapshot = repo / "snapshots" / "rev1" / "UD-TQ1_0"
    snapshot.mkdir(parents=True)
    (snapshot / "K2-UD-TQ1_0.gguf").symlink_to(os.path.relpath(blob, snapshot))
    (snapshot / "gone.gguf").symlink_to("../../../blobs/none")
    touch(repo / "blobs" / "stray.gguf")
    touch(tmp_path / "datasets--x--y" / "snapshots" / "r" / "d.gguf")
    assert find(Root(tmp_path, "Hugging Face", "hub")) == [
        (str((snapshot / "K2-UD-TQ1_0.gguf").relative_to(tmp_path)), "unsloth/Kimi-K2-GGUF")
    ]


def test_lm_studio(tmp_path: Path) -> None:
    touch(tmp_path / "lmstudio-community" / "Qwen3-8B-GGUF" / "Qwen3-8B-Q4_K_M.gguf")
    touch(tmp_path / "loose.gguf")
    assert find(Root(tmp_path, "LM Studio", "owner")) == [
        ("loose.gguf", ""),
        (
            "lmstudio-community/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf",
            "lmstudio-community/Qwen3-8B-GGUF",
        ),
    ]


def manifest(root: Path, name: str, digest: str) -> Path:
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    path = root / "manifests" / "registry.ollama.ai" / name
    return touch(path, json.dumps({"layers": layers}).encode())


def test_ollama(tmp_path: Path) -> None:
    digest = "ab" * 32
    touch(tmp_path / "blobs" / f"sha256-{digest}")
    manifest(tmp_path, "library/qwen3/8b", f"sha256:{digest}")
    manifest(tmp_path, "someone/own/latest", "sha256:" + "cd" * 32)  # its blob is not there
    assert find(Root(tmp_path, "Ollama", "ollama")) == [(f"blobs/sha256-{digest}", "qwen3-8b")]


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../etc/passwd", "sha256:" + "g" * 64, "md5:" + "a" * 64, "", "sha256:" + "a" * 63],
)
def test_ollama_manifests_cannot_lead_elsewhere(tmp_path: Path, digest: str) -> None:
    touch(tmp_path / "blobs" / "x")
    manifest(tmp_path, "library/evil/1", digest)
    assert find(Root(tmp_path, "Ollama", "ollama")) == []


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b"{}", b'{"layers": 3}', b'{"layers": [1]}', b"[" * 100_000, b"\xff"]
)
def test_broken_ollama_manifests_are_passed_over(tmp_path: Path, data: bytes) -> None:
    touch(tmp_path / "manifests" / "registry.ollama.ai" / "library" / "x" / "1", data)
    assert find(Root(tmp_path, "Ollama", "ollama")) == []


def test_known_roots_follow_the_environment(tmp_path: Path) -> None:
    plain = {root.origin: root.path for root in reversed(known_roots({}, tmp_path))}
    assert plain["Hugging Face"] == tmp_path / ".cache" / "huggingface" / "hub"
    assert plain["Ollama"] == tmp_path / ".ollama" / "models"
    moved = {
        root.origin: root.path
        for root in reversed(
            known_roots({"HF_HOME": "/x", "OLLAMA_MODELS": "/o", "LLAMA_CACHE": "/l"}, tmp_path)
        )
    }
    assert moved["Hugging Face"] == Path("/x/hub")
    assert moved["Ollama"] == Path("/o")
    assert moved["llama.cpp"] == Path("/l")
