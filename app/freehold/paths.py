"""Where Freehold keeps its files.

`FREEHOLD_DATA` moves everything the app writes under one folder; otherwise the XDG folders
(or the platform's own) are used. Folders are created 0700: other users of the machine have no
business in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from freehold.errors import AppError


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one installation for one user."""

    data: Path
    state: Path
    cache: Path
    config: Path

    @property
    def database(self) -> Path:
        return self.data / "freehold.db"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def settings_file(self) -> Path:
        return self.config / "settings.toml"

    @property
    def key_file(self) -> Path:
        return self.state / "key"

    @property
    def lock_file(self) -> Path:
        return self.state / "server.lock"

    @property
    def address_file(self) -> Path:
        """Where a running server writes its address, process and instance id (JSON)."""
        return self.state / "server.json"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def create(self) -> None:
        """Make every folder, private to the user.

        Raises: AppError `no_permission` naming the folder that cannot be written.
        """
        for folder in (self.data, self.state, self.cache, self.config, self.models, self.logs):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            except OSError as error:
                raise _not_writable(folder) from error
            if not os.access(folder, os.W_OK | os.X_OK):
                raise _not_writable(folder)


def _not_writable(folder: Path) -> AppError:
    return AppError(
        "no_permission",
        f"Freehold cannot write to {folder}.",
        "Give your user write permission on it, or set FREEHOLD_DATA to another folder.",
        detail={"path": str(folder)},
    )


def user_paths() -> Paths:
    """Return this user's folders, honouring `FREEHOLD_DATA`."""
    root = os.environ.get("FREEHOLD_DATA")
    if root:
        base = Path(root).expanduser().absolute()
        return Paths(base / "data", base / "state", base / "cache", base / "config")
    dirs = platformdirs.PlatformDirs("freehold", appauthor=False)
    return Paths(
        Path(dirs.user_data_dir),
        Path(dirs.user_state_dir),
        Path(dirs.user_cache_dir),
        Path(dirs.user_config_dir),
    )


def resources() -> Path:
    """Return the folder of icons, themes, help and catalogues that come with the app."""
    override = os.environ.get("FREEHOLD_RESOURCES")
    if override:
        return Path(override)
    return Path(__file__).resolve().parents[2] / "resources"
