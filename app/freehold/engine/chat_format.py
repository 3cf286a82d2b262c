"""Chat formats of llama.cpp: render a chat with the model's template, read the answer apart.

`FormatHelper` renders (in a killable child process, since a template is hostile input);
`OutputParser` reads the output of one request (in this process, through the library).
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

import msgspec

from freehold.engine.chat_values import (
    AppliedPrompt,
    GrammarConstraint,
    GrammarTrigger,
    ParsedDelta,
    TemplateAbilities,
)
from freehold.engine.format_process import FormatProcess
from freehold.engine.format_worker import APPLY, DESCRIBE, GBNF, SCHEMA
from freehold.engine.grammar_limits import check_gbnf, check_request_depth, check_schema
from freehold.engine.native import chat_library, native_error, raise_native, take_text
from freehold.engine.requests import ChatPrompt, ToolCallDelta
from freehold.engine.special_text import SpecialTexts, split_at_cuts
from freehold.engine.tool_words import tell_tools

# Long chats get more than two seconds: Kimi K3's template takes 1.7 ms per message.
MESSAGE_WAIT_S = 0.004


class _Applied(msgspec.Struct, frozen=True, kw_only=True):
    """The library's answer to an apply, as kernels/chat/freehold_chat.h describes it."""

    prompt: str
    format: str
    grammar: str
    grammar_lazy: bool
    triggers: tuple[GrammarTrigger, ...]
    stops: tuple[str, ...]
    preserved_tokens: tuple[str, ...]
    generation_prompt: str
    supports_thinking: bool
    thinking_start: str
    thinking_ends: tuple[str, ...]
    parser: str


class _Abilities(msgspec.Struct, frozen=True, kw_only=True):
    """The library's description of a template."""

    supports_tools: bool
    supports_tool_calls: bool
    supports_parallel_tool_calls: bool
    supports_system_role: bool
    supports_thinking: bool


class FormatHelper:
    """Applies one model's chat template; one per engine, thread-safe, blocking.

    Keeps a warm child process and starts it again after a hostile template had to be killed.
    """

    def __init__(
        self,
        template: str | None,
        *,
        bos_text: str = "",
        eos_text: str = "",
        add_bos: bool = False,
        add_eos: bool = False,
        special_texts: tuple[str, ...] = (),
    ) -> None:
        """Keep the template (None: ChatML); the child starts with the first call.

        add_bos, add_eos: whether the tokenizer adds them (llama_vocab_get_add_bos/eos); then they
            are cut from the rendered prompt, and the first piece is tokenised with
            add_special=True.
        special_texts: `native_step.special_texts(model)`.
        """
        self._process = FormatProcess(template or "", bos_text, eos_text)
        self._bos_text = bos_text if add_bos else ""
        self._eos_text = eos_text if add_eos else ""
        self._specials = SpecialTexts(special_texts)
        self._abilities: TemplateAbilities | None = None

    @property
    def pid(self) -> int | None:
        """Return the child's process id while it runs."""
        return self._process.pid

    def warm(self) -> None:
        """Start the child now, so that the first apply is fast."""
        self._process.warm()

    def describe(self) -> TemplateAbilities:
        """Return what the template can express.

        Raises: AppError `invalid_template`.
        """
        if self._abilities is None:
            answer = self._process.ask(DESCRIBE, b"")
            found = msgspec.json.decode(answer, type=_Abilities)
            self._abilities = TemplateAbilities(
                supports_tools=found.supports_tools or found.supports_tool_calls,
                names_tools=found.supports_tools,
                supports_parallel_tool_calls=found.supports_parallel_tool_calls,
                supports_system_role=found.supports_system_role,
                supports_thinking=found.supports_thinking,
            )
        return self._abilities

    def apply(
        self,
        prompt: ChatPrompt,
        *,
        json_schema: str | None = None,
        grammar: str | None = None,
        read_thinking: bool = True,
    ) -> AppliedPrompt:
        """Render a chat.

        Raises: AppError `invalid_template` (refused, crashed, over its time or over 4 MB),
            `invalid_grammar`, `invalid_request`.
        """
        if (json_schema or grammar) and prompt.tools and prompt.tool_choice != "none":
            raise native_error("invalid_request", "a grammar or schema cannot go with tools")
        own = self.constrain(json_schema=json_schema, grammar=grammar)
        request = self._request(prompt, json_schema, read_thinking)
        check_request_depth(request)
        more_s = MESSAGE_WAIT_S * len(prompt.messages)
        answer = self._process.ask(APPLY, request.encode("utf-8", "replace"), more_s)
        applied = msgspec.json.decode(answer, type=_Applied)

        pieces = self._pieces(applied.prompt)
        return AppliedPrompt(
            prompt="".join(pieces),
            pieces=pieces,
            parser=applied.parser,
            constraint=_constraint(applied, own),
            stops=applied.stops,
            preserved_tokens=applied.preserved_tokens,
            thinking=applied.supports_thinking and read_thinking,
            thinking_start=applied.thinking_start,
            thinking_ends=applied.thinking_ends,
            format=applied.format,
        )

    def constrain(
        self, *, json_schema: str | None = None, grammar: str | None = None
    ) -> GrammarConstraint | None:
        """Return the checked constraint of a plain-text completion, None for none.

        Raises: AppError `invalid_grammar`.
        """
        if json_schema and grammar:
            raise native_error("invalid_grammar", "give a grammar or a JSON schema, not both")
        if grammar:
            check_gbnf(grammar)
            self._process.ask(GBNF, _c_text(grammar))
            return GrammarConstraint(grammar=grammar)
        if json_schema:
            check_schema(json_schema)
            found = self._process.ask(SCHEMA, _c_text(_whole_schema(json_schema)))
            return GrammarConstraint(grammar=found.decode())
        return None

    def close(self) -> None:
        """End the child process; may be called twice."""
        self._process.close()

    def _request(self, prompt: ChatPrompt, json_schema: str | None, read_thinking: bool) -> str:
        tools, choice = _chosen_tools(prompt)
        messages = self._specials.cut_messages(prompt.messages)
        if tools and choice != "none":
            abilities = self.describe()
            if abilities.supports_tools and not abilities.names_tools:
                messages = tell_tools(messages, self._specials.cut_tools(tools))
        request: dict[str, Any] = {
            "messages": messages,
            "tool_choice": choice,
            "parallel_tool_calls": prompt.parallel_tool_calls,
            "template_kwargs": prompt.template_kwargs,
            "add_generation_prompt": prompt.add_generation_prompt,
            "continue_final_message": prompt.continue_final_message,
            "read_thinking": read_thinking,
        }
        if tools:
            request["tools"] = self._specials.cut_tools(tools)
        if json_schema:
            request["json_schema"] = _whole_schema(json_schema)
        enable = prompt.enable_thinking
        if enable is None:
            enable = prompt.template_kwargs.get("enable_thinking")
        if isinstance(enable, bool):
            request["enable_thinking"] = enable
        try:
            return json.dumps(request, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise native_error("invalid_request", f"it is not JSON: {error}") from error

    def _pieces(self, prompt: str) -> tuple[str, ...]:
        if self._bos_text:
            prompt = prompt.removeprefix(self._bos_text)
        if self._eos_text:
            prompt = prompt.removesuffix(self._eos_text)
        return split_at_cuts(prompt)


class OutputParser:
    """Reads the output of one request apart into content, reasoning and tool calls.

    Not thread-safe; its cost is bounded, so text may be told with a delay of a few tokens.
    """

    def __init__(self, applied: AppliedPrompt, *, eager: bool = False) -> None:
        """Read the answer to `applied`; `eager` parses at every call whatever it costs."""
        self._library = chat_library()
        state = applied.parser
        if eager:
            state = json.dumps({**json.loads(state), "eager": True})
        handle, error = ctypes.c_void_p(), ctypes.c_void_p()
        if self._library.fh_parser_new(state.encode(), ctypes.byref(handle), ctypes.byref(error)):
            raise_native(take_text(self._library, error))
        self._handle: int | None = handle.value
        self._out = ctypes.c_void_p()
        self._size = ctypes.c_size_t()

    def feed(self, text: str, final: bool = False) -> ParsedDelta:
        """Add output and return what is new; with `final`, all that was held back.

        `text` is whole UTF-8 characters, special tokens as text, stop strings cut.
        Never raises for odd output: what does not parse is told as content.
        """
        if self._handle is None:
            raise ValueError("the parser is closed")
        data = text.encode("utf-8", "replace")
        failed = self._library.fh_parser_feed(
            self._handle,
            data,
            len(data),
            final,
            ctypes.byref(self._out),
            ctypes.byref(self._size),
        )
        if not self._out:
            return _NOTHING
        if failed:
            raise_native(take_text(self._library, self._out))
        payload = take_text(self._library, self._out, self._size.value)
        return msgspec.json.decode(payload, type=ParsedDelta)

    def close(self) -> None:
        """Free the native parser; may be called twice."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._library.fh_parser_free(handle)

    def __del__(self) -> None:
        self.close()


_NOTHING = ParsedDelta()


def _chosen_tools(prompt: ChatPrompt) -> tuple[tuple[dict[str, Any], ...], str]:
    """Return the tools the model may call and the choice in llama.cpp's words.

    Raises: AppError `invalid_request` for a choice that names no tool.
    """
    choice = prompt.tool_choice
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise native_error("invalid_request", f"tool_choice {choice!r} is not known")
        return prompt.tools, choice if prompt.tools else "auto"
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    named = tuple(tool for tool in prompt.tools if _tool_name(tool) == name)
    if not named or name is None:
        raise native_error("invalid_request", f"tool_choice names {name!r}, which is not a tool")
    return named, "required"


def _tool_name(tool: dict[str, Any]) -> object:
    function = tool.get("function")
    return function.get("name") if isinstance(function, dict) else None


def _constraint(applied: _Applied, own: GrammarConstraint | None) -> GrammarConstraint | None:
    """Return the format's grammar, or the request's own where the format has none.

    The format's grammar covers thoughts by itself unless it is lazy; the request's own must wait
    until a thought has ended.
    """
    if applied.grammar and not applied.grammar_lazy:
        return GrammarConstraint(grammar=applied.grammar, prefill=applied.generation_prompt)
    if not applied.grammar and own is None:
        return None
    return GrammarConstraint(
        grammar=applied.grammar or (own.grammar if own else ""),
        lazy=applied.grammar_lazy,
        triggers=applied.triggers,
        thinking_start=applied.thinking_start,
        thinking_ends=applied.thinking_ends,
        thinking_prefill=applied.generation_prompt,
    )


def _whole_schema(schema: str) -> str:
    """Return the schema, `{}` made to mean any object, as the OpenAI API has it."""
    try:
        parsed = json.loads(schema)
    except ValueError as error:
        raise native_error("invalid_grammar", f"the JSON schema is not JSON: {error}") from error
    return '{"type": "object"}' if parsed == {} else schema


def _c_text(text: str) -> bytes:
    """Return text for a C string.

    Raises: AppError `invalid_grammar` if it holds a NUL, which would end it early.
    """
    if "\0" in text:
        raise native_error("invalid_grammar", "it holds a NUL character")
    return text.encode("utf-8", "replace")


__all__ = [
    "AppliedPrompt",
    "FormatHelper",
    "GrammarConstraint",
    "OutputParser",
    "ParsedDelta",
    "TemplateAbilities",
    "ToolCallDelta",
]
