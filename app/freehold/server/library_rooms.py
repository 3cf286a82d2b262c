"""Put together what finds, fetches and takes apart models."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from freehold.library.download.queue import Downloads
from freehold.library.finding import Finder
from freehold.library.hub import Hub
from freehold.library.hub_token import TokenStore
from freehold.library.inspector import Inspector
from freehold.paths import Paths
from freehold.server.bus import Bus
from freehold.server.fit_here import FitHere
from freehold.server.header_plan import HeaderPlanner
from freehold.server.model_choice import Models
from freehold.settings import SettingsFile
from freehold.storage.connection import Database


@dataclass(frozen=True, slots=True)
class LibraryRooms:
    """What the routes of the library need beside the models themselves."""

    finder: Finder
    downloads: Downloads
    inspector: Inspector


def join_library(
    paths: Paths,
    database: Database,
    bus: Bus,
    models: Models,
    settings: SettingsFile,
    plan: HeaderPlanner,
) -> LibraryRooms:
    """Return the rooms, joined."""
    tokens = TokenStore(paths.config / "hub_token")
    hub = Hub(tokens)
    finder = Finder(
        hub,
        tokens,
        FitHere(),
        paths.cache / "headers",
        models.entries,
        lambda: shutil.disk_usage(paths.models).free,
        plan,
    )
    downloads = Downloads(
        database,
        paths.models,
        bus.publish,
        lambda path, ref: models.import_file(path, ref=ref, origin="downloaded", owned=True),
        hub.repository,
        limit_bytes_per_s=lambda: settings.current.download_limit_mb_per_s * 1e6,
    )
    return LibraryRooms(finder, downloads, Inspector(models.find, models.entries, hub))
