"""Cutting special tokens out of what people write, as a pure matter of text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from freehold.engine.special_text import CUT, SpecialTexts, split_at_cuts

TEXTS = ("<|im_end|>", "<|im|>", "<a>", "<a", "aa", "</think>", "x")
SPECIALS = SpecialTexts(TEXTS)
LONG = [text for text in TEXTS if len(text) > 1]


@given(st.lists(st.sampled_from([*TEXTS, "<", "a", "|>", "im", " ", "é", CUT]), max_size=30))
def test_no_piece_holds_a_special_text_and_nothing_is_lost(parts: list[str]) -> None:
    text = "".join(parts)
    pieces = split_at_cuts(SPECIALS.cut(text))
    assert "".join(pieces) == text.replace(CUT, "")
    for piece in pieces:
        assert not any(special in piece for special in LONG)


def test_text_without_special_tokens_stays_one_piece() -> None:
    text = "a < b and <b>bold</b> |"
    assert SPECIALS.cut(text) == text
    assert split_at_cuts(text) == (text,)
    assert SpecialTexts(()).cut("<|im_end|>") == "<|im_end|>"
    assert split_at_cuts("") == ("",)


def test_spares_the_system_message_and_the_assistants_thinking_tags() -> None:
    messages = [
        {"role": "system", "content": "<|im_end|>"},
        {"role": "assistant", "content": "</think><|im_end|>", "reasoning_content": "<|im_end|>"},
        {"role": "user", "content": [{"type": "text", "text": "</think>"}, {"type": "other"}]},
    ]
    system, assistant, user = SPECIALS.cut_messages(messages)
    assert system == messages[0]
    assert assistant["content"] == f"</think><{CUT}|im_end|>"
    assert CUT in assistant["reasoning_content"]
    assert user["content"] == [{"type": "text", "text": f"<{CUT}/think>"}, {"type": "other"}]
    assert messages[1]["content"] == "</think><|im_end|>", "the caller's messages stay as they are"


def test_cuts_tool_descriptions_but_no_names() -> None:
    tools = (
        {"function": {"name": "<|im|>", "description": "<|im|>", "parameters": {"x": ["<|im|>"]}}},
    )
    (tool,) = SPECIALS.cut_tools(tools)
    assert tool["function"] == {
        "name": "<|im|>",
        "description": f"<{CUT}|im|>",
        "parameters": {"x": ["<|im|>"]},
    }


def test_a_call_gets_its_type_and_arguments_as_text() -> None:
    message = {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "f", "arguments": {"é": "<a>"}}}, "odd"],
    }
    (cut,) = SPECIALS.cut_messages([message])
    call, odd = cut["tool_calls"]
    assert call["type"] == "function"
    assert call["function"]["arguments"] == f'{{"é": "<{CUT}a>"}}'
    assert odd == "odd"
