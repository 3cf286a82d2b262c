"""Whether documents go into the prompt whole or are searched, with the numbers behind it."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

WHOLE_SHARE: Final = 0.8
# For the question, what the model is told, and the answer.
ANSWER_TOKENS: Final = 1024
SMALLEST_ANSWER_TOKENS: Final = 256


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How documents are used, and the tokens it was decided by.

    free_tokens: context left after the question, the instructions and the answer.
    """

    mode: Literal["whole", "searched"]
    document_tokens: int
    free_tokens: int
    passage_tokens: int
    answer_tokens: int


def decide(*, document_tokens: int, context_tokens: int, other_tokens: int) -> Budget:
    """Return whether documents fit whole in 80 % of the free context.

    other_tokens: the instructions, the question and earlier messages.
    """
    answer = min(ANSWER_TOKENS, max(SMALLEST_ANSWER_TOKENS, context_tokens // 4))
    free = max(0, context_tokens - other_tokens - answer)
    limit = int(free * WHOLE_SHARE)
    return Budget(
        mode="whole" if document_tokens <= limit else "searched",
        document_tokens=document_tokens,
        free_tokens=free,
        passage_tokens=limit,
        answer_tokens=answer,
    )
