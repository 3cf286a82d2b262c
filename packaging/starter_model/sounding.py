"""A quick look at what the network can do while it is trained.

An answer counts when every one of its tokens is the likeliest: just what the network would say.
"""

from __future__ import annotations

from random import Random

import torch
from tokenizers import Tokenizer

from starter_model.conversation import Conversation, Message
from starter_model.drills import drill
from starter_model.guide_items import GuideItem
from starter_model.network import Network
from starter_model.packing import encode
from starter_model.passages import NOT_SAID, reading
from starter_model.tool_tasks import NOUNS, UNSEEN_NOUNS, tool_task


@torch.no_grad()
def sound(
    network: Network, tokenizer: Tokenizer, items: tuple[GuideItem, ...], count: int = 12
) -> dict[str, float]:
    """Return the share of answers said in full, by kind of conversation."""
    random = Random("sounding")
    groups: dict[str, list[Conversation]] = {
        "reading": [
            reading(random, blocks=random.randint(1, 4), turns=3, unanswerable=0.25)
            for _ in range(count)
        ],
        "tools": [tool_task(random, tools=3, turns=1, nouns=NOUNS) for _ in range(count)],
        "unseen": [tool_task(random, tools=3, turns=1, nouns=UNSEEN_NOUNS) for _ in range(count)],
        "drill": [drill(random) for _ in range(count)],
    }
    for language in ("en", "ru"):
        own = [item for item in items if item.language == language and item.held_out]
        groups[f"guide_{language}"] = [
            Conversation(
                (Message("user", random.choice(item.held_out)), Message("assistant", item.answer))
            )
            for item in random.sample(own, min(len(own), 2 * count))
        ]
    network.eval()
    scores: dict[str, float] = {}
    for name, conversations in groups.items():
        right: dict[str, list[bool]] = {}
        for conversation in conversations:
            for answer, good in said(network, tokenizer, conversation):
                part = name
                if name == "reading":
                    part = "unanswerable" if answer == NOT_SAID else "reading"
                right.setdefault(part, []).append(good)
        scores |= {part: round(sum(good) / len(good), 3) for part, good in right.items()}
    network.train()
    return scores


def said(
    network: Network, tokenizer: Tokenizer, conversation: Conversation
) -> list[tuple[str, bool]]:
    """Return each answer of a conversation and whether the network would say just that."""
    example = encode(conversation, tokenizer)
    tokens = torch.tensor(example.tokens)
    best = network.logits(network(tokens, [len(tokens)])).argmax(-1)
    found: list[tuple[str, bool]] = []
    spoken = [weight > 0 for weight in example.weights]
    answers = [message.text for message in conversation.messages if message.role == "assistant"]
    at = 0
    while at < len(spoken):
        if not spoken[at]:
            at += 1
            continue
        end = at
        while end < len(spoken) and spoken[end]:
            end += 1
        good = bool((best[at - 1 : end - 1] == tokens[at:end]).all())
        found.append((answers[len(found)], good))
        at = end
    return found
