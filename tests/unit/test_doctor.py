"""What `freehold doctor` finds and says to do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from freehold import cli
from freehold.client.discovery import ServerAddress
from freehold.doctor import examination, installation, models, native, server, storage
from freehold.doctor.check import Check
from freehold.paths import user_paths
from freehold.server.schemas import SCHEMAS
from freehold.storage.connection import Database
from freehold.storage.migrations import Schema
from freehold.storage.sqlite import SAFE_VERSION
from freehold.wire import ModelEntry

CPU = {"name": "CPU", "description": "some CPU", "kind": "CPU", "total_bytes": 8 * 10**9}
GPU = {"name": "CUDA0", "description": "some GPU", "kind": "GPU", "total_bytes": 80 * 10**9}
REPORT = {"folder": "/lib", "system": "CPU : AVX = 1", "chat_abi": 1, "devices": [CPU]}


def state(
    report: dict[str, object] | None = None, decision: dict[str, object] | None = None
) -> native.NativeState:
    return native.NativeState(REPORT if report is None else report, decision or {})


# --- python and packages ---------------------------------------------------------------------


def test_missing_and_other_packages_are_named() -> None:
    pins = {"httpx": "0.28.1", "apsw": "3.54", "qasync": "0.28"}
    found = {"httpx": "0.28.1", "apsw": "3.50"}
    check = installation.check_packages(pins, found.get)
    assert not check.ok
    assert check.detail == "apsw is 3.50 instead of 3.54; qasync is missing"
    assert "make run" in check.fix


def test_pins_come_from_the_compiled_requirements() -> None:
    pins = installation.read_pins()
    assert pins["llama-cpp-python"] == "0.3.36"
    assert "PySide6-Essentials".lower() in {name.lower() for name in pins}
    assert "pywin32-ctypes" not in pins  # its marker is for another system


def test_window_libraries_matter_where_there_is_a_screen() -> None:
    libraries = {
        "libEGL.so.1": ["libegl1"],
        "libglib-2.0.so.0": ["libglib2.0-0t64", "libglib2.0-0"],
    }
    check = installation.check_window_libraries(libraries, lambda _: False, has_screen=True)
    assert check.needed
    assert not check.ok
    assert check.fix == "Run: sudo apt-get install libegl1 libglib2.0-0"
    assert not installation.check_window_libraries(
        libraries, lambda _: False, has_screen=False
    ).needed
    assert installation.check_window_libraries(libraries, lambda _: True, has_screen=True).ok


# --- native libraries ------------------------------------------------------------------------


def test_a_library_that_kills_its_process_is_told_by_its_signal() -> None:
    found = native.read_probe(-11, "", "", {})
    check = native.check_library(found)
    assert not check.ok
    assert check.needed
    assert "signal 11" in check.detail
    assert not native.check_chat_library(found).ok


def test_a_library_that_does_not_load_gives_the_linkers_words() -> None:
    output = json.dumps({"error": "libllama.so: cannot open shared object file"})
    check = native.check_library(native.read_probe(1, output, "", {}))
    assert not check.ok
    assert "libllama.so" in check.detail
    assert "no output" in native.read_probe(1, "", "", {}).problem


def test_a_missing_chat_library_is_told_apart_from_llama_cpp() -> None:
    report = {**REPORT, "error": "libfreehold_chat.so: no such file"}
    del report["chat_abi"]
    found = native.read_probe(1, json.dumps(report), "", {})
    assert native.check_library(found).ok
    check = native.check_chat_library(found)
    assert not check.ok
    assert check.detail == "libfreehold_chat.so: no such file"


def test_the_backend_comes_with_its_reason() -> None:
    reason = "CUDA toolkit 13.0 was found, but no NVIDIA driver was found."
    check = native.check_backend(state(decision={"backend": "cpu", "reason": reason}))
    assert check.ok
    assert reason in check.detail
    assert check.detail.startswith("CPU.")
    assert "some CPU (8.00 GB)" in check.detail


def test_a_cuda_build_without_its_device_says_so() -> None:
    decision = {"backend": "cuda", "reason": "found"}
    check = native.check_backend(state(decision=decision))
    assert not check.ok
    assert "nvidia-smi" in check.fix
    there = state(report={**REPORT, "devices": [GPU, CPU]}, decision=decision)
    assert there.backend == "cuda"
    assert native.check_backend(there).ok


@pytest.mark.engine
def test_the_probe_sees_this_machines_libraries() -> None:
    found = native.look(Path(sys.prefix))
    assert found.problem == ""
    assert found.report["chat_abi"] == 1
    assert any(device["kind"] == "CPU" for device in found.report["devices"])
    assert Path(found.report["folder"]).is_dir()


# --- storage ---------------------------------------------------------------------------------


def test_sqlite_with_the_wal_bug_is_refused() -> None:
    assert storage.check_sqlite("3.51.3", SAFE_VERSION).ok
    old = storage.check_sqlite("3.40.1", SAFE_VERSION)
    assert not old.ok
    assert "3.51.3" in old.fix


def test_little_room_is_told_with_the_figure(tmp_path: Path) -> None:
    check = storage.rate_room(tmp_path, 5_000_000)
    assert not check.ok
    assert "5.00 MB free" in check.detail
    assert storage.rate_room(tmp_path, 50_000_000_000).ok


def test_files_open_to_others_are_named_with_the_command() -> None:
    paths = user_paths()
    paths.create()
    paths.key_file.write_text("fh-key")
    paths.key_file.chmod(0o644)
    check = storage.check_modes(paths)
    assert not check.ok
    assert f"{paths.key_file} (0644)" in check.detail
    assert "chmod go-rwx" in check.fix
    paths.key_file.chmod(0o600)
    assert storage.check_modes(paths).ok


def test_a_data_folder_that_is_a_file_is_refused(data_folder: Path) -> None:
    (data_folder / "data").write_text("in the way")
    check = storage.check_data_folder(user_paths())
    assert not check.ok
    assert "FREEHOLD_DATA" in check.fix


def test_chats_of_this_version_are_usable_and_none_at_all_is_fine(tmp_path: Path) -> None:
    paths = user_paths()
    assert storage.check_database(paths.database, SCHEMAS).ok
    paths.create()
    Database.open(paths, SCHEMAS).close()
    check = storage.check_database(paths.database, SCHEMAS)
    assert (check.ok, check.detail) == (True, str(paths.database))


def test_chats_of_a_newer_version_are_told_and_left_alone() -> None:
    paths = user_paths()
    paths.create()
    newer = [*SCHEMAS, Schema("chats", (*SCHEMAS[0].steps, lambda _: None))]
    del newer[0]
    Database.open(paths, newer).close()
    before = paths.database.read_bytes()
    check = storage.check_database(paths.database, SCHEMAS)
    assert not check.ok
    assert "newer" in check.detail
    assert "backups" in check.fix
    assert paths.database.read_bytes() == before


def test_a_damaged_database_is_told_and_what_the_next_start_does() -> None:
    paths = user_paths()
    paths.create()
    paths.database.write_bytes(b"this is no database" * 900)
    check = storage.check_database(paths.database, SCHEMAS)
    assert not check.ok
    assert "damaged" in check.detail
    assert "backup" in check.fix


def test_a_damaged_settings_file_is_told_and_left_alone() -> None:
    paths = user_paths()
    paths.create()
    paths.settings_file.write_text("port = [")
    settings, check = examination.read_settings(paths)
    assert not check.ok
    assert settings.port == 11711
    assert paths.settings_file.read_text() == "port = ["


# --- models ----------------------------------------------------------------------------------


def test_models_whose_file_is_gone_are_named(tmp_path: Path) -> None:
    there = tmp_path / "there.gguf"
    there.touch()

    def entry(ref: str, path: Path) -> ModelEntry:
        return ModelEntry(
            ref=ref, name=ref, arch="llama", bytes=1, path=str(path), origin="imported", ready=True
        )

    good = models.rate_models([entry("there", there)], ["embedder"])
    assert good.ok
    assert good.detail == "1 known; bundled: embedder"
    bad = models.rate_models([entry("there", there), entry("gone", tmp_path / "gone.gguf")], [])
    assert not bad.ok
    assert bad.detail.endswith("files missing of gone")


def test_an_installation_without_models_says_how_to_add_one() -> None:
    check = models.check_models(user_paths())
    assert check.ok
    assert "freehold import" in check.fix


def test_a_file_that_is_no_database_is_told() -> None:
    paths = user_paths()
    paths.create()
    paths.database.write_bytes(b"not a database" * 400)
    assert not models.check_models(paths).ok


# --- server ----------------------------------------------------------------------------------


def test_a_taken_port_names_its_holder() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        check = server.check_port(port, ours=False)
        assert not check.ok
        assert not check.needed  # the next free port is offered
        assert f"process {os.getpid()}" in check.detail
        assert server.check_port(port, ours=True).ok
    assert server.check_port(port, ours=False).ok


def test_a_server_that_does_not_answer_is_told_with_its_process() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            address = ServerAddress(pid=sleeper.pid, host="127.0.0.1", port=port)
            check = server.check_server(address)
        finally:
            sleeper.kill()
            sleeper.communicate()
    assert not check.ok
    assert f"kill {sleeper.pid}" in check.fix
    assert server.check_server(address).ok  # gone: an old note, nothing to do
    assert server.check_server(None).ok


# --- the command -----------------------------------------------------------------------------


def test_text_marks_what_is_needed() -> None:
    text = examination.to_text(
        [
            Check("good_one", True, "fine"),
            Check("bad_one", False, "broken", "mend it"),
            Check("extra", False, "absent", "nothing", needed=False),
        ]
    )
    lines = text.splitlines()
    assert lines[0] == "ok    good one  fine"
    assert lines[1] == "FAIL  bad one   broken"
    assert lines[2].strip() == "→ mend it"
    assert lines[3].startswith("note  extra")


def test_json_is_one_document_in_the_documented_form(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["doctor", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"checks", "engine"}
    for check in document["checks"]:
        assert set(check) == {"name", "ok", "detail", "fix"}
    assert document["engine"]["backend"] in {"cpu", "cuda"}
    assert "chat" in document["engine"]["kernels"]
    assert status == 0, document


def test_a_needed_check_that_fails_exits_with_one(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data_folder / "data").write_text("in the way")
    assert cli.main(["doctor"]) == 1
    assert "FAIL  data folder" in capsys.readouterr().out
