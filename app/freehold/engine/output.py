"""What one request has produced and not yet told: text, thoughts, tool calls, log probabilities."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from freehold.engine.chat_values import ParsedDelta
from freehold.engine.protocol import Delta
from freehold.engine.requests import TokenLogprob, ToolCallDelta
from freehold.engine.text import StopFinder, Utf8Stream

PARSE_SHARE: Final = 0.05  # of the emit thread's time one long answer may take to be parsed
MAX_PARSE_DELAY_S: Final = 0.2


class Parser(Protocol):
    """Reads output apart; `chat_format.OutputParser` is the real one."""

    def feed(self, text: str, final: bool = False) -> ParsedDelta: ...

    def close(self) -> None: ...


class OutputReader:
    """Collects a request's tokens and gives out merged deltas.

    token_count: tokens told or to be told; those after a stop string do not count.
    stop_text: the stop string that ended the text, once one was found.
    """

    def __init__(
        self,
        stops: tuple[str, ...],
        parser: Parser | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._utf8 = Utf8Stream()
        self._stops = StopFinder(stops)
        self._parser = parser
        self._clock = clock
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ToolCallDelta] = []
        self._logprobs: list[TokenLogprob] = []
        self._unparsed: list[str] = []
        self._parse_at_s = 0.0
        self._new_tokens = 0
        self.token_count = 0
        self.reasoning_tokens = 0
        self.saw_tool_call = False
        self.stop_text: str | None = None

    @property
    def is_empty(self) -> bool:
        """Return whether there is nothing to tell now."""
        return not (self._text or self._reasoning or self._calls or self._logprobs)

    @property
    def has_unparsed(self) -> bool:
        """Return whether text waits to be parsed with later text."""
        return bool(self._unparsed)

    def add(self, piece: bytes, logprob: TokenLogprob | None = None) -> bool:
        """Add a token; return whether a stop string is complete and generation should end."""
        if self.stop_text is not None:
            return False
        self.token_count += 1
        self._new_tokens += 1
        if logprob is not None:
            self._logprobs.append(logprob)
        released = self._stops.feed(self._utf8.feed(piece))
        if released.text:
            self._release(released.text)
        self.stop_text = released.stop
        return released.stop is not None

    def finish(self) -> None:
        """Release all that was held back; no more tokens come."""
        if self.stop_text is None:
            released = self._stops.feed(self._utf8.finish())
            rest = self._stops.finish()
            self.stop_text = released.stop or rest.stop
            text = released.text + rest.text
            if text:
                self._release(text)
        if self._parser is not None:
            self._parse(final=True)

    def take(self, request_id: str) -> Delta | None:
        """Return what is new as one delta, None for nothing."""
        if self._unparsed and self._clock() >= self._parse_at_s:
            self._parse()
        if self.is_empty:
            return None
        delta = Delta(
            id=request_id,
            content="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(self._calls),
            logprobs=tuple(self._logprobs),
            tokens=self._new_tokens,
        )
        self._new_tokens = 0
        self._text.clear()
        if self._reasoning or self._calls or self._logprobs:
            self._reasoning.clear()
            self._calls.clear()
            self._logprobs.clear()
        return delta

    def close(self) -> None:
        """Free the parser."""
        if self._parser is not None:
            self._parser.close()

    def _release(self, text: str) -> None:
        (self._text if self._parser is None else self._unparsed).append(text)

    def _parse(self, *, final: bool = False) -> None:
        assert self._parser is not None
        began = self._clock()
        parsed = self._parser.feed("".join(self._unparsed), final)
        self._unparsed.clear()
        # Parsing looks at the whole answer again, so it is done less often as answers grow.
        ended = self._clock()
        self._parse_at_s = ended + min(MAX_PARSE_DELAY_S, (ended - began) / PARSE_SHARE)
        if parsed.content:
            self._text.append(parsed.content)
        if parsed.reasoning:
            self._reasoning.append(parsed.reasoning)
            if not parsed.content and not parsed.tool_calls:
                self.reasoning_tokens = self.token_count
        if parsed.tool_calls:
            self.saw_tool_call = True
            self._calls.extend(parsed.tool_calls)
