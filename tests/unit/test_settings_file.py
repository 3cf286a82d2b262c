"""Settings survive restarts, damage and wrong values."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import AppError
from freehold.secrets import write_private
from freehold.settings import SettingsFile, check_settings
from freehold.wire import Settings


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "config" / "settings.toml"
    wanted = Settings(theme="dark", port=2000, model_folders=("/a", "/b"), default_model_ref='q"\n')
    assert SettingsFile(file).save(wanted) == wanted
    assert SettingsFile(file).current == wanted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_file_the_defaults_are_used_and_nothing_is_wrong(tmp_path: Path) -> None:
    settings = SettingsFile(tmp_path / "settings.toml")
    assert settings.current == Settings()
    assert settings.problem is None


@pytest.mark.allow_logs("settings.toml could not be read")
@pytest.mark.parametrize(
    "text", ["port = ", "port = 'x'", "theme = 'pink'", "port = 0", "port = 70000", "\x00\xff"]
)
def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(text.encode("latin-1"))
    settings = SettingsFile(file)
    assert settings.current == Settings()
    assert settings.problem is not None
    kept = Path(str(settings.problem.detail["path"]))
    assert kept.read_bytes() == text.encode("latin-1")
    assert not file.exists()
    settings.save(Settings(port=3000))
    assert settings.problem is None
    assert SettingsFile(file).current.port == 3000


def test_settings_of_a_newer_version_are_understood(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("port = 3000\nsomething_new = true\n")
    assert SettingsFile(file).current.port == 3000


@pytest.mark.parametrize(
    "changes",
    [
        {"port": 0},
        {"port": 65536},
        {"idle_unload_minutes": -1},
        {"price_per_kwh": "-0.3"},
        {"price_per_kwh": "NaN"},
        {"price_per_kwh": "cheap"},
        {"currency": "QQQ"},
    ],
)
def test_values_out_of_bounds_are_not_stored(tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = SettingsFile(tmp_path / "settings.toml")
    with pytest.raises(AppError) as caught:
        settings.save(msgspec.structs.replace(Settings(), **changes))
    assert caught.value.code == "invalid_request"
    assert settings.current == Settings()


def test_a_folder_that_is_a_file_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AppError) as caught:
        write_private(tmp_path / "file" / "key", "x")
    assert caught.value.code == "no_permission"
    assert not list(tmp_path.glob(".*part"))


@given(
    st.builds(
        Settings,
        port=st.integers(1, 65535),
        idle_unload_minutes=st.integers(0, 10_000),
        default_system_prompt=st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=50
        ),
        keep_running_when_closed=st.booleans(),
    )
)
def test_any_settings_come_back_unchanged(
    tmp_path_factory: pytest.TempPathFactory, settings: Settings
) -> None:
    check_settings(settings)
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    SettingsFile(file).save(settings)
    assert SettingsFile(file).current == settings
