"""The tables of every feature that lives in the database file."""

from __future__ import annotations

from typing import Final

from freehold.chats import schema as chats
from freehold.documents import schema as documents
from freehold.ledger import schema as ledger
from freehold.library import schema as library
from freehold.library.download import schema as downloads
from freehold.power import schema as power

SCHEMAS: Final = (
    chats.SCHEMA,
    library.SCHEMA,
    ledger.SCHEMA,
    downloads.SCHEMA,
    documents.SCHEMA,
    power.SCHEMA,
)
