"""Which columns of the Chats page have room beside the chat."""

from __future__ import annotations

from typing import Final

READER_ROOM: Final = 1_400
SETTINGS_ROOM: Final = 1_040


def has_room_for_list(width: int, *, reading: bool, settings: bool) -> bool:
    """Return whether the list of chats stays beside a chat, its reader and its settings."""
    return width >= max(READER_ROOM * reading, SETTINGS_ROOM * settings)
