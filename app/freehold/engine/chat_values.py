"""What applying a chat template gives, as frozen values; nothing here knows llama.cpp."""

from __future__ import annotations

from typing import Literal

import msgspec

from freehold.engine.requests import ToolCallDelta


class GrammarTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a lazy grammar: a word, or a regular expression (ECMAScript)."""

    kind: Literal["word", "pattern", "pattern_full"]
    value: str


class GrammarConstraint(msgspec.Struct, frozen=True, kw_only=True):
    """A grammar and when it applies; given to `native_step.TokenSampler`.

    lazy: the grammar sleeps until a trigger appears in the output.
    prefill: text already in the prompt that the grammar must be led over first.
    thinking_start, thinking_ends: between them the grammar is not applied; "" for never.
    thinking_prefill: the generation prompt, to see whether the answer starts inside a thought.
    """

    grammar: str
    lazy: bool = False
    triggers: tuple[GrammarTrigger, ...] = ()
    prefill: str = ""
    thinking_start: str = ""
    thinking_ends: tuple[str, ...] = ()
    thinking_prefill: str = ""

    def to_json(self) -> bytes:
        """Return the constraint as the library takes it."""
        return msgspec.json.encode(self)


class TemplateAbilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's chat template can express.

    supports_tools: the model can be given tools and its calls of them are read.
    names_tools: the template tells the model which tools there are; where it does not,
        `FormatHelper` tells it in the system message.
    """

    supports_tools: bool = False
    names_tools: bool = False
    supports_parallel_tool_calls: bool = False
    supports_system_role: bool = False
    supports_thinking: bool = False


class AppliedPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered chat: what to tokenise, how to constrain the answer and how to read it.

    pieces: tokenise each with special tokens parsed (parse_special=True) and join the tokens;
        add_special only for the first. The cuts keep text written by a user from becoming
        control tokens. `prompt` is the same text in one string, for people.
    constraint: for `TokenSampler`; None for free text.
    stops: strings that end generation besides the caller's.
    parser: state for `OutputParser`; opaque.
    thinking: whether the answer may hold a thought, told apart as `reasoning`.
    """

    prompt: str
    pieces: tuple[str, ...]
    parser: str
    constraint: GrammarConstraint | None = None
    stops: tuple[str, ...] = ()
    preserved_tokens: tuple[str, ...] = ()
    thinking: bool = False
    thinking_start: str = ""
    thinking_ends: tuple[str, ...] = ()
    format: str = ""


class ParsedDelta(msgspec.Struct, frozen=True, kw_only=True):
    """New output since the last call, told apart."""

    content: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing new."""
        return not (self.content or self.reasoning or self.tool_calls)
