"""All checks in the order they are told, and their two forms: text and JSON."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict

import apsw
import msgspec

from freehold.client.discovery import read_address
from freehold.doctor import installation, models, native, server, storage
from freehold.doctor.check import Check
from freehold.doctor.native import NativeState
from freehold.paths import Paths
from freehold.storage.migrations import Schema
from freehold.storage.sqlite import SAFE_VERSION
from freehold.wire import Settings


def examine(paths: Paths, state: NativeState, schemas: Sequence[Schema]) -> list[Check]:
    """Return every check, the fundamental ones first.

    schemas: what this version expects of the database.
    """
    settings, settings_check = read_settings(paths)
    address = read_address(paths)
    server_check = server.check_server(address)
    ours = address is not None and address.port == settings.port
    return [
        installation.check_python(),
        installation.check_packages(installation.read_pins(), installation.installed_version),
        native.check_library(state),
        native.check_chat_library(state),
        native.check_backend(state),
        native.check_pack(state),
        storage.check_sqlite(apsw.sqlite_lib_version(), SAFE_VERSION),
        storage.check_data_folder(paths),
        storage.check_database(paths.database, schemas),
        storage.check_modes(paths),
        settings_check,
        models.check_models(paths),
        server_check,
        server.check_port(settings.port, ours=ours),
        storage.check_key_ring(),
        installation.check_window_libraries(
            installation.window_libraries(),
            installation.library_loads,
            has_screen=installation.has_screen(),
        ),
    ]


def read_settings(paths: Paths) -> tuple[Settings, Check]:
    """Return the settings as the server would read them; a damaged file is left where it is."""
    try:
        text = paths.settings_file.read_text("utf-8")
    except FileNotFoundError:
        return Settings(), Check("settings", True, "no settings.toml yet: defaults", needed=False)
    except (OSError, UnicodeDecodeError) as error:
        return Settings(), _damaged(paths, str(error))
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        return Settings(), _damaged(paths, str(error))
    return settings, Check("settings", True, str(paths.settings_file), needed=False)


def _damaged(paths: Paths, problem: str) -> Check:
    return Check(
        "settings",
        False,
        f"{paths.settings_file} cannot be used: {problem}",
        "Freehold starts with the defaults; correct the file or save the settings again.",
        needed=False,
    )


def to_json(checks: Sequence[Check], state: NativeState) -> dict[str, object]:
    """Return the document of `freehold doctor --json`."""
    return {
        "checks": [check.to_dict() for check in checks],
        "engine": {
            "backend": state.backend,
            "reason": state.decision.get("reason", ""),
            "devices": list(state.report.get("devices", ())),
            "kernels": {"chat": abi} if (abi := state.report.get("chat_abi")) else {},
            "expert_kernels": [asdict(kernel) for kernel in native.expert_kernels(state)],
            "pack": dict(state.report.get("pack") or {}),
        },
    }


def to_text(checks: Sequence[Check]) -> str:
    """Return the findings for a person, what to do below each that failed."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        mark = "ok  " if check.ok else "FAIL" if check.needed else "note"
        lines.append(f"{mark}  {check.name.replace('_', ' '):<{width}}  {check.detail}")
        if check.fix:
            lines.append(f"{'':<6}{'':<{width}}  → {check.fix}")
    return "\n".join(lines)
