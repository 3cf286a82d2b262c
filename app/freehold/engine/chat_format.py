"""Chat formats of llama.cpp: render a chat with the model's template, read the answer apart.

`FormatHelper` renders (in a killable child process, since a template is hostile input);
`OutputParser` reads the output of one request (in this process, through the library).
"""

from __future__ import annotations

from freehold.engine.chat_values import (
    AppliedPrompt,
    GrammarConstraint,
    ParsedDelta,
    TemplateAbilities,
)
from freehold.engine.requests import ChatPrompt


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
        raise NotImplementedError

    def describe(self) -> TemplateAbilities:
        """Return what the template can express.

        Raises: AppError `invalid_template`.
        """
        raise NotImplementedError

    def apply(
        self,
        prompt: ChatPrompt,
        *,
        json_schema: str | None = None,
        grammar: str | None = None,
        read_thinking: bool = True,
    ) -> AppliedPrompt:
        """Render a chat.

        Raises: AppError `invalid_template` (refused, crashed, over 2 s or over 4 MB),
            `invalid_grammar`, `invalid_request`.
        """
        raise NotImplementedError

    def constrain(
        self, *, json_schema: str | None = None, grammar: str | None = None
    ) -> GrammarConstraint | None:
        """Return the checked constraint of a plain-text completion, None for none.

        Raises: AppError `invalid_grammar`.
        """
        raise NotImplementedError

    def close(self) -> None:
        """End the child process; may be called twice."""
        raise NotImplementedError


class OutputParser:
    """Reads the output of one request apart into content, reasoning and tool calls.

    Not thread-safe; its cost is bounded, so text may be told with a delay of a few tokens.
    """

    def __init__(self, applied: AppliedPrompt) -> None:
        raise NotImplementedError

    def feed(self, text: str, final: bool = False) -> ParsedDelta:
        """Add output and return what is new; with `final`, all that was held back.

        `text` is whole UTF-8 characters, special tokens as text, stop strings cut.
        Never raises for odd output: what does not parse is told as content.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free the native parser; may be called twice."""
        raise NotImplementedError
