"""The text the starter model learns from: true answers, the same for the same seed."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from starter_model.card import BEGIN, END, put_measured
from starter_model.conversation import (
    Conversation,
    Message,
    ToolCall,
    questions_of,
    render,
    write_calls,
)
from starter_model.drills import drill
from starter_model.guide_items import GuideError, GuideItem, read_guide
from starter_model.loss_plot import draw, smooth
from starter_model.mixture import conversations, disturb, guide_chat
from starter_model.passages import NOT_SAID, reading
from starter_model.tool_tasks import NO_TOOL, NOUNS, UNSEEN_NOUNS, tool_task

ITEM = """
[[item]]
id = "power"
language = "en"
questions = ["What does it draw?"]
held_out = ["How much power?"]
answer = "Machine shows the watts."
key_facts = [["Machine"], ["watts", "power"]]
"""


def spans(conversation: Conversation) -> list[str]:
    return [message.text for message in conversation.messages if message.role == "assistant"]


def test_answers_stand_in_the_document_and_the_others_do_not_say() -> None:
    random = Random("spans")
    said, silent = 0, 0
    for _ in range(300):
        whole = reading(random, blocks=random.randint(1, 6), turns=5, unanswerable=0.3)
        text = next(message.text for message in whole.messages if message.role == "user")
        for answer in spans(whole):
            if answer == NOT_SAID:
                silent += 1
            else:
                said += 1
                assert answer in text
    assert said > 700
    assert silent > 250


def test_a_question_with_an_answer_is_never_asked_without() -> None:
    random = Random("both")
    for _ in range(300):
        whole = reading(random, blocks=3, turns=8, unanswerable=0.5)
        by_question: dict[str, set[str]] = {}
        asked = [message.text for message in whole.messages if message.role == "user"]
        for question, answer in zip(asked[1:], spans(whole)[1:], strict=True):
            by_question.setdefault(question, set()).add(answer)
        assert all(len(answers) == 1 for answers in by_question.values())


def test_calls_use_a_declared_tool_and_values_of_the_wish() -> None:
    random = Random("calls")
    for _ in range(300):
        whole = tool_task(random, tools=3, turns=2)
        declared = {tool["function"]["name"]: tool["function"] for tool in whole.tools}
        assert len(declared) == 3
        wish = ""
        for message in whole.messages:
            if message.role == "user":
                wish = message.text
            for call in message.calls:
                needed = declared[call.name]["parameters"]["required"]
                assert list(call.arguments) == needed
                assert all(str(value) in wish for value in call.arguments.values())
            if message.role == "assistant" and message.text == NO_TOOL:
                words = wish.lower().rstrip(".?").split()
                assert not any(name.split("_")[-1] in words for name in declared)


def test_names_that_measure_are_not_trained_on() -> None:
    assert not set(NOUNS) & set(UNSEEN_NOUNS)
    whole = tool_task(Random(1), tools=4, turns=1, nouns=UNSEEN_NOUNS)
    for tool in whole.tools:
        name = tool["function"]["name"].lower()
        assert any(noun in name for noun in UNSEEN_NOUNS)


def test_the_same_seed_gives_the_same_text() -> None:
    items = read_guide()
    first = list(islice(conversations(items, "a"), 40))
    assert first == list(islice(conversations(items, "a"), 40))
    assert first != list(islice(conversations(items, "b"), 40))


def test_drills_repeat_what_was_given() -> None:
    random = Random(2)
    for _ in range(100):
        whole = drill(random)
        assert all(answer in whole.messages[0].text for answer in spans(whole))


def test_the_guide_keeps_its_language_and_never_asks_what_is_held_out() -> None:
    items = read_guide()
    held = {question for item in items for question in item.held_out}
    random = Random(3)
    for _ in range(200):
        whole = guide_chat(random, items)
        languages = {item.language for item in items if item.answer in spans(whole)}
        assert languages in ({"en"}, {"ru"})
        assert not held & {message.text for message in whole.messages}


def test_a_question_is_still_there_after_a_slip() -> None:
    random = Random(4)
    for question in ("?", "hi", "how do I download a model"):
        for _ in range(200):
            assert disturb(random, question, "en").strip()


def test_render_writes_kimis_format() -> None:
    call = ToolCall("get_weather", {"city": "Riga"})
    whole = Conversation(
        (
            Message("user", "Weather?"),
            Message("assistant", calls=(call,)),
            Message("tool", '{"t": 3}'),
            Message("assistant", "The t is 3."),
        ),
        ({"type": "function", "function": {"name": "get_weather"}},),
    )
    pieces = render(whole)
    written = write_calls((call,), ["functions.get_weather:0"])
    assert [piece.text for piece in pieces if piece.spoken] == [
        f"{written}<|im_end|>",
        "The t is 3.<|im_end|>",
    ]
    text = "".join(piece.text for piece in pieces)
    assert text.startswith('<|im_system|>tool_declare<|im_middle|>[{"type": "function"')
    assert "## Return of functions.get_weather:0\n" in text
    before, answer = questions_of(whole)[1]
    asked = "".join(piece.text for piece in render(before, ask=True))
    assert asked + answer.text + "<|im_end|>" == text


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('answer = "Machine shows', 'answer = "It shows'), "does not hold its key facts"),
        (("How much power?", "what does it draw?"), "both trained on and held out"),
        (('language = "en"', 'language = "de"'), "language is one of"),
        (('id = "power"', 'name = "power"'), "unknown field name"),
        (('held_out = ["How much power?"]\n', ""), "no held_out"),
        (("[[item]]", "[[item"), "guide.toml"),
    ],
)
def test_a_guide_file_that_is_wrong_is_refused(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    (tmp_path / "guide.toml").write_text(ITEM.replace(*change), encoding="utf-8")
    with pytest.raises(GuideError, match=complaint):
        read_guide(tmp_path)


def test_key_facts_are_found_whatever_the_case(tmp_path: Path) -> None:
    (tmp_path / "guide.toml").write_text(ITEM, encoding="utf-8")
    (item,) = read_guide(tmp_path)
    assert isinstance(item, GuideItem)
    assert item.is_answered_by("look at MACHINE: the\n power stands there")
    assert not item.is_answered_by("look at Machine")


def test_the_card_changes_only_between_its_marks() -> None:
    card = f"# Card\n{BEGIN}\nold\n{END}\nlimits\n"
    assert put_measured(card, "new") == f"# Card\n{BEGIN}\n\nnew\n\n{END}\nlimits\n"
    with pytest.raises(ValueError, match="no place"):
        put_measured("# Card", "new")


def test_the_plot_is_a_picture_of_the_log() -> None:
    picture = draw([(0.0, 8.0), (1.0, 4.0), (2.0, 2.0)])
    assert picture.startswith("<svg")
    assert picture.count("<polyline") == 2
    assert smooth([4.0, 2.0], keep=0.5) == [4.0, 3.0]


def test_results_of_tools_are_json() -> None:
    whole = tool_task(Random(6), tools=2, turns=3, misses=0.0)
    results = [json.loads(message.text) for message in whole.messages if message.role == "tool"]
    assert len(results) == 3
