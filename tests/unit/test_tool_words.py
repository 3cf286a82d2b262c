"""Tools told in words to models whose template does not name them."""

from __future__ import annotations

from freehold.engine.tool_words import tell_tools

TOOL = {
    "type": "function",
    "function": {"name": "sum", "description": "Adds.", "parameters": {"type": "object"}},
}
USER = {"role": "user", "content": "hi"}


def test_tools_go_to_the_end_of_the_system_message() -> None:
    (system, user) = tell_tools([{"role": "system", "content": "Be kind."}, USER], [TOOL])
    assert system["content"].startswith("Be kind.\n\n## Tools\n")
    assert '### sum\nDescription: Adds.\n\nParameters: {"type": "object"}' in system["content"]
    assert user == USER


def test_a_system_message_is_made_where_there_is_none() -> None:
    messages = tell_tools([USER], [TOOL, {"type": "other"}])
    assert [message["role"] for message in messages] == ["system", "user"]
    assert messages[0]["content"].count("###") == 1


def test_a_system_message_in_parts_gets_one_more() -> None:
    parts = [{"type": "text", "text": "Be kind."}]
    (system,) = tell_tools([{"role": "system", "content": parts}], [TOOL])
    assert system["content"][0] == parts[0]
    assert system["content"][1]["text"].startswith("## Tools")
