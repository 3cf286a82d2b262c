"""Vectors in memory between questions, and which of them are nearest to a question's.

Up to 100,000 passages every vector is compared. Beyond that the signs of the numbers, 48 bytes a
passage, are compared first and the vectors of the best few thousand decide: no other library, and
memory is read 30 times less.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from freehold.documents import index
from freehold.documents.index import Vectors

COMPARED_WHOLE: Final = 100_000
SHORT_LIST: Final = 4_000
MAX_BYTES: Final = 1 << 30
BLOCK: Final = 65_536


class VectorTable:
    """The vectors of some passages, normalised, as rows."""

    def __init__(self, ids: Sequence[int], vectors: Vectors) -> None:
        self.ids = np.asarray(ids, dtype=np.int64)
        self.vectors = vectors
        self._signs: NDArray[np.uint64] | None = None
        if len(ids) > COMPARED_WHOLE:
            self._signs = to_signs(vectors)

    @property
    def bytes(self) -> int:
        """Return the memory it takes."""
        signs = 0 if self._signs is None else self._signs.nbytes
        return int(self.ids.nbytes + self.vectors.nbytes + signs)

    def nearest(self, query: Vectors, limit: int) -> list[int]:
        """Return the ids of the vectors most alike to a query's, best first."""
        if not len(self.ids) or self.vectors.shape[1] != query.shape[0]:
            return []
        places = None
        if self._signs is not None:
            distance = differing_bits(self._signs, to_signs(query[None, :])[0])
            short = min(SHORT_LIST, len(distance) - 1)
            places = np.sort(np.argpartition(distance, short)[:short])
        rows = self.vectors if places is None else self.vectors[places]
        likeness = rows @ query
        count = min(limit, len(likeness))
        best = np.argpartition(-likeness, count - 1)[:count]
        ordered = best[np.argsort(-likeness[best], kind="stable")]
        chosen = ordered if places is None else places[ordered]
        return [int(item) for item in self.ids[chosen]]


def to_signs(vectors: Vectors) -> NDArray[np.uint64]:
    """Return one bit per number, set where it is positive, in words of 64."""
    packed = np.packbits(vectors > 0, axis=1)
    missing = -packed.shape[1] % 8
    if missing:
        packed = np.pad(packed, ((0, 0), (0, missing)))
    return np.ascontiguousarray(packed).view(np.uint64)


def differing_bits(signs: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Return in how many bits each row differs from a query's."""
    result = np.empty(len(signs), dtype=np.uint16)
    for start in range(0, len(signs), BLOCK):  # stays in the processor's cache
        part = signs[start : start + BLOCK]
        result[start : start + BLOCK] = np.bitwise_count(part ^ query).sum(axis=1, dtype=np.uint16)
    return result


class VectorCache:
    """The tables of the last scopes that were searched; the oldest go when there is no room."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[object, ...], VectorTable] = OrderedDict()
        self._guard = threading.Lock()  # several readers of the database ask

    def table(self, connection: Any, document_ids: Sequence[str], embedder: str) -> VectorTable:
        """Return the vectors of documents, read from the database only when they changed."""
        key = (index.generation(connection), embedder, tuple(sorted(document_ids)))
        with self._guard:
            table = self._kept.pop(key, None)
            if table is None:
                for old in [other for other in self._kept if other[1:] == key[1:]]:
                    del self._kept[old]
                table = VectorTable(*index.load_vectors(connection, document_ids, embedder))
            self._kept[key] = table
            while sum(kept.bytes for kept in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
            return table
