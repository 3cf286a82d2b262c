"""The Chats page on a scriptable server: what a person does all day."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from doubles.chat_desk import ChatDesk, open_desk
from doubles.waiting import until
from freehold.errors import AppError
from freehold.wire import ReplyDelta, ReplyProgress, ReplyStats


@pytest_asyncio.fixture(loop_scope="function")
async def desk() -> AsyncIterator[ChatDesk]:
    async with open_desk() as desk:
        yield desk


async def test_a_question_is_answered_as_a_stream_with_figures_below(desk: ChatDesk) -> None:
    stats = ReplyStats(
        prompt_tokens=1840,
        cached_tokens=1512,
        completion_tokens=1240,
        decode_tokens_per_s=41.74,
        first_token_s=0.34,
        finish_reason="length",
    )
    reply = desk.client.script_reply(["Hello ", "**world**"], hold=True, stats=stats)
    desk.write("Hi there")
    await until(lambda: desk.answers and "world" in desk.answers[-1].body.text)
    answer = desk.answers[-1]
    await until(lambda: answer.body.views)
    assert desk.page.composer.button.text() == "Stop"
    assert not answer.waiting.isHidden()
    assert answer.footer.isHidden()
    assert desk.page.composer.text == ""
    reply.released.set()
    await desk.idle()
    assert answer is desk.answers[-1]
    assert answer.body.views[0].toPlainText() == "Hello world"
    line = answer.footer.stats.text()
    for figure in (
        "41.7 tokens/s",
        "1,240 tokens",
        "first after 340 ms",
        "1,512 of 1,840",
        "limit",
    ):
        assert figure in line
    assert desk.page.composer.button.text() == "Send"
    assert desk.questions[0].text.toPlainText() == "Hi there"
    await until(lambda: desk.page.header.title.text() == "Hi there")


async def test_stop_keeps_what_came(desk: ChatDesk) -> None:
    desk.client.script_reply(["Half an answer"], hold=True)
    desk.write("Tell me")
    await until(lambda: desk.answers and desk.answers[-1].body.text == "Half an answer")
    QTest.keyClick(desk.page.composer.box, Qt.Key.Key_Escape)
    await desk.idle()
    assert desk.answers[-1].body.text == "Half an answer"
    assert "stopped by you" in desk.answers[-1].footer.stats.text()


async def test_regenerate_and_version_arrows(desk: ChatDesk) -> None:
    answer = await desk.ask("Name a colour", "Blue")
    desk.client.script_reply(["Green"])
    answer.footer.regenerate_button.click()
    await until(lambda: desk.answers and desk.answers[-1].body.text == "Green")
    await desk.idle()
    await until(lambda: desk.answers[-1].footer.version_text == "2/2")
    assert len(desk.page.transcript.views) == 2
    desk.answers[-1].footer.previous_button.click()
    await until(lambda: desk.answers[-1].body.text == "Blue")
    assert desk.answers[-1].footer.version_text == "1/2"
    assert not desk.answers[-1].footer.previous_button.isEnabled()


async def test_versions_far_back_keep_their_arrows(desk: ChatDesk) -> None:
    await desk.ask("First", "One answer.")
    old = desk.page.conversation.messages[-1].id
    desk.client.script_reply(["Another answer."])
    desk.page.regenerate_last()
    await until(lambda: desk.page.conversation.messages[-1].id != old)
    await desk.idle()
    for number in range(16):
        await desk.ask(f"Question {number}", "Words. " * 60)
    chat_id = desk.page.conversation.chat.id
    desk.page.new_chat()
    desk.page.show_chat(chat_id)
    await until(lambda: desk.page.conversation.has_older and desk.page.transcript.is_settled)
    desk.page.transcript.verticalScrollBar().setValue(0)
    await until(lambda: not desk.page.conversation.has_older)
    versions = desk.page.conversation.siblings[desk.page.conversation.messages[1].id]
    assert versions[0] == old
    assert len(versions) == 2


async def test_editing_a_question_makes_a_branch_and_both_stay(desk: ChatDesk) -> None:
    await desk.ask("First question", "First answer")
    await desk.ask("Second question", "Second answer")
    QTest.keyClick(desk.page.composer.box, Qt.Key.Key_Up)
    editor = desk.questions[-1].editor
    assert editor is not None
    assert editor.box.toPlainText() == "Second question"
    editor.box.setPlainText("Another second question")
    desk.client.script_reply(["Another answer"])
    QTest.keyClick(editor.box, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    await until(lambda: desk.answers[-1].body.text == "Another answer")
    await desk.idle()
    assert [q.text.toPlainText() for q in desk.questions] == [
        "First question",
        "Another second question",
    ]
    await until(lambda: desk.questions[-1].footer.version_text == "2/2")
    desk.questions[-1].footer.previous_button.click()
    await until(lambda: desk.answers[-1].body.text == "Second answer")
    assert desk.questions[-1].text.toPlainText() == "Second question"


async def test_a_crash_keeps_the_half_answer_and_the_next_question_works(desk: ChatDesk) -> None:
    error = AppError("engine_crashed", "The engine stopped (signal 9).", "It is loaded again.")
    desk.client.script_reply(["Half of "], error=error)
    desk.write("Go")
    await until(lambda: desk.answers and desk.answers[-1].failure is not None)
    await desk.idle()
    broken = desk.answers[-1]
    assert broken.body.text == "Half of "
    assert broken.failure is not None
    assert "signal 9" in broken.failure.text
    assert "What came is kept." in broken.failure.text
    assert (await desk.ask("And now?", "Works.")).body.text == "Works."


async def test_a_failed_answer_names_cause_and_next_step_and_can_be_retried(desk: ChatDesk) -> None:
    error = AppError(
        "context_length_exceeded", "The prompt has 9,120 tokens, the context 8,192.", "Load more."
    )
    desk.client.script_reply([], error=error)
    desk.write("A long one")
    await until(lambda: desk.answers and desk.answers[-1].failure is not None)
    await desk.idle()
    failure = desk.answers[-1].failure
    assert failure is not None
    assert failure.text == "The prompt has 9,120 tokens, the context 8,192. Load more."
    desk.client.script_reply(["Now it fits."])
    failure.retry_button.click()
    await until(lambda: desk.answers[-1].body.text == "Now it fits.")


async def test_drafts_are_saved_after_a_pause_and_come_back(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    first = desk.page.conversation.chat.id
    desk.page.composer.box.setPlainText("half a thought")
    await until(lambda: desk.client.conversations.chat(first).draft == "half a thought")
    desk.page.new_chat()
    assert desk.page.composer.text == ""
    desk.page.composer.box.setPlainText("typed into the new chat")
    desk.page.show_chat(first)  # leaves before the pause is over
    await until(lambda: desk.page.composer.text == "half a thought")
    await until(
        lambda: any(c.draft == "typed into the new chat" for c in desk.client.conversations)
    )
    new = next(c for c in desk.client.conversations if c.draft == "typed into the new chat")
    assert new.id != first
    desk.page.show_chat(new.id)
    await until(lambda: desk.page.composer.text == "typed into the new chat")


async def test_what_is_typed_without_a_server_is_kept_and_saved_later(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    chat_id = desk.page.conversation.chat.id
    desk.client.go_offline()
    await until(lambda: not desk.session.is_connected)
    desk.page.composer.box.setPlainText("important words")
    desk.page.drafts.save_now()
    await until(lambda: desk.client.called("save_draft"))
    assert chat_id in desk.page.drafts.unsaved
    desk.write("important words")
    await until(lambda: "Not sent." in desk.page.composer.hint.text())
    assert desk.page.composer.text == "important words"
    assert not desk.page.composer.box.isReadOnly()
    desk.client.go_online()
    await until(lambda: desk.session.is_connected)
    await until(lambda: desk.client.conversations.chat(chat_id).draft == "important words")


async def test_a_message_sent_twice_over_a_broken_line_is_one_message(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    broken = AppError("server_unreachable", "The line broke.", "Try again.", retryable=True)
    desk.client.fail_next("send", broken)
    desk.write("Once only")
    await until(lambda: "Not sent. The line broke." in desk.page.composer.hint.text())
    QTest.keyClick(desk.page.composer.box, Qt.Key.Key_Return)
    await until(lambda: len(desk.questions) == 2)
    tokens = [call["token"] for call in desk.client.called("send")[-2:]]
    assert tokens[0] == tokens[1]
    await desk.idle()
    await desk.ask("Once only", "again")
    assert desk.client.called("send")[-1]["token"] != tokens[0]


async def test_typing_while_the_model_loads_queues_the_message(desk: ChatDesk) -> None:
    desk.page.conversation.update(model_ref="big")
    assert "it is loaded when you send" in desk.page.composer.hint.text()
    desk.client.hold_loads = True
    desk.client.load_steps = (0.43,)
    desk.client.script_reply(["Loaded and answered."])
    desk.write("Are you there?")
    await until(lambda: desk.answers and "Loading the model… 43 %" in desk.answers[-1].waiting.text)
    assert "43 %" in desk.page.header.model_button.text()
    desk.page.composer.box.setPlainText("typed meanwhile")
    desk.client.release_loads()
    await until(lambda: desk.answers[-1].body.text == "Loaded and answered.")
    assert desk.page.composer.text == "typed meanwhile"


async def test_progress_of_a_waiting_reply_is_told(desk: ChatDesk) -> None:
    desk.client.script_reply([], hold=True, pause_s=30)
    desk.write("Wait")
    await until(lambda: desk.answers)
    answer, reply = desk.answers[-1], desk.page.conversation.reply
    assert reply is not None
    for phase, done, total, words in (
        ("queued", 3, 5, "3 ahead"),
        ("queued", 0, 2, "Next in the queue"),
        ("prefill", 1200, 3400, "1,200 of 3,400 tokens"),
    ):
        desk.client.push(
            ReplyProgress(
                chat_id=reply.message.chat_id,
                message_id=reply.id,
                phase=phase,  # type: ignore[arg-type]
                done=done,
                total=total,
            )
        )
        await until(lambda words=words: words in answer.waiting.text)


async def test_missed_text_is_read_again_and_other_replies_are_dropped(desk: ChatDesk) -> None:
    held = desk.client.script_reply(["The beginning, "], hold=True)
    desk.write("Go")
    await until(lambda: desk.answers and desk.answers[-1].body.text == "The beginning, ")
    reply = desk.page.conversation.reply
    assert reply is not None
    chat_id = reply.message.chat_id
    stored = "The beginning, the middle, "
    desk.client.conversations.update(reply.id, content=stored + "the end")
    delta = ReplyDelta(
        chat_id=chat_id, message_id="message-999", part="content", offset=15, text="not ours"
    )
    desk.client.push(delta)
    desk.client.push(
        ReplyDelta(
            chat_id=chat_id,
            message_id=reply.id,
            part="content",
            offset=len(stored),
            text="the end",
        )
    )
    await until(lambda: desk.answers[-1].body.text == stored + "the end")
    assert len(desk.client.called("message")) == 1
    held.released.set()
    await desk.idle()
    assert desk.answers[-1].body.text == stored + "the end"


async def test_reconnecting_mid_answer_catches_up(desk: ChatDesk) -> None:
    held = desk.client.script_reply(["Before, "], hold=True)
    desk.write("Go")
    await until(lambda: desk.answers and desk.answers[-1].body.text == "Before, ")
    reply = desk.page.conversation.reply
    assert reply is not None
    desk.client.go_offline()
    await until(lambda: not desk.session.is_connected)
    desk.client.conversations.update(reply.id, content="Before, and after")
    desk.client.go_online()
    await until(lambda: desk.answers[-1].body.text == "Before, and after")
    held.released.set()
    await desk.idle()
    assert desk.answers[-1].message.status == "complete"


async def test_a_gap_in_the_events_that_swallowed_the_end_is_noticed(desk: ChatDesk) -> None:
    desk.client.script_reply(["Words"], hold=True)
    desk.write("Go")
    await until(lambda: desk.answers and desk.answers[-1].body.text == "Words")
    reply = desk.page.conversation.reply
    assert reply is not None
    desk.client.conversations.update(reply.id, content="Words, all", status="complete")
    desk.client.skip_seq()
    desk.client.push(ReplyProgress(chat_id="x", message_id="y", phase="queued"))
    await until(lambda: not desk.page.conversation.busy)
    assert desk.answers[-1].body.text == "Words, all"


async def test_thinking_is_open_while_it_lasts_and_folded_afterwards(desk: ChatDesk) -> None:
    desk.client.script_reply(["Answer"], reasoning=["Let me ", "think."], hold=True, pause_s=0.15)
    desk.write("Hm?")
    await until(lambda: desk.answers and desk.answers[-1].thinking is not None)
    thinking = desk.answers[-1].thinking
    assert thinking is not None
    assert "Thinking…" in thinking.title
    assert thinking.is_open
    await until(lambda: desk.answers[-1].body.text == "Answer")
    assert "Thought for 1 s" in thinking.title
    assert not thinking.is_open


async def test_the_picker_shows_models_and_never_loads_by_itself(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    header = desk.page.header
    header.open_menu()
    rows = header.menu.rows
    assert "Q4_K_M" in rows["tiny"].facts
    assert "1.20 GB" in rows["tiny"].facts
    assert "loaded" in rows["tiny"].facts
    assert "loaded" not in rows["big"].facts
    rows["big"].choose()
    await until(lambda: desk.page.conversation.chat.model_ref == "big")
    await until(lambda: "Big 70B" in header.model_button.text())
    assert not desk.client.called("load_model")
    assert not desk.client.called("unload_model")
    header.open_menu()
    desk.client.hold_loads = True
    header.menu.rows["big"].load_asked.emit("big")
    await until(lambda: "loading 75 %" in header.menu.rows["big"].facts)
    header.menu.close()
    desk.client.release_loads()
    await until(lambda: "loaded" in header.model_button.text())


async def test_the_context_meter_tells_the_share(desk: ChatDesk) -> None:
    stats = ReplyStats(prompt_tokens=5000, completion_tokens=80, finish_reason="stop")
    desk.client.script_reply(["x"], stats=stats)
    desk.write("Fill it")
    await until(lambda: desk.page.header.meter.text == "Context 62 % full: 5,080 of 8,192 tokens")


async def test_search_finds_messages_and_opens_their_chat(desk: ChatDesk) -> None:
    await desk.ask("About walruses", "They have tusks.")
    first = desk.page.conversation.chat.id
    desk.page.new_chat()
    await desk.ask("About penguins", "They swim.")
    desk.page.focus_search()
    desk.page.panel.search.setText("tusks")
    await until(lambda: desk.page.chats.rows.rowCount() == 1)
    desk.page.panel.list.clicked.emit(desk.page.chats.rows.index(0))
    await until(lambda: desk.page.conversation.chat.id == first)
    desk.page.panel.search.setText("nothing like this")
    await until(lambda: "Nothing found" in desk.page.panel.none.text())
    QTest.keyClick(desk.page.panel.search, Qt.Key.Key_Escape)
    await until(lambda: desk.page.chats.rows.rowCount() > 2)


async def test_a_search_hit_opens_at_its_message_however_far_back(desk: ChatDesk) -> None:
    for number in range(24):
        animal = "A walrus. " if number == 3 else "A penguin. "
        await desk.ask(f"Question {number}", animal + "More words. " * 40)
    chat_id = desk.page.conversation.chat.id
    desk.page.new_chat()
    desk.page.focus_search()
    desk.page.panel.search.setText("walrus")
    await until(lambda: desk.page.chats.rows.rowCount() == 1)
    desk.page.panel.list.clicked.emit(desk.page.chats.rows.index(0))
    await until(lambda: desk.page.conversation.chat.id == chat_id)
    transcript = desk.page.transcript

    def is_seen() -> bool:
        views = [v for v in desk.answers if v.message.content.startswith("A walrus.")]
        top = transcript.verticalScrollBar().value()
        return any(top <= v.y() < top + transcript.viewport().height() // 2 for v in views)

    await until(lambda: transcript.is_settled and is_seen())
    assert not transcript.at_end
    assert desk.page.conversation.messages[-2].content == "Question 23"


async def test_a_hit_in_another_version_shows_that_version(desk: ChatDesk) -> None:
    await desk.ask("Name an animal", "A walrus.")
    old = desk.page.conversation.messages[-1].id
    desk.client.script_reply(["A penguin."])
    desk.page.regenerate_last()
    await until(lambda: desk.page.conversation.messages[-1].id != old)
    await desk.idle()
    desk.page.show_chat(desk.page.conversation.chat.id, old)
    await until(lambda: desk.page.conversation.messages[-1].id == old)


async def test_trash_undo_restore_and_delete_for_good(desk: ChatDesk) -> None:
    await desk.ask("Keep me", "ok")
    chat_id = desk.page.conversation.chat.id
    await until(lambda: desk.page.chats.chats)
    summary = desk.page.chats.chats[0]
    QTest.keyClick(desk.page.panel.list, Qt.Key.Key_Delete)
    QTest.keyClick(desk.page.panel.list, Qt.Key.Key_Backspace)
    assert not desk.client.called("trash_chat")
    actions = {a.text(): a for a in desk.page.panel.make_menu(summary).actions()}
    actions["Move to trash"].trigger()
    await until(lambda: not desk.page.panel.undo_button.parentWidget().isHidden())
    assert desk.page.conversation.chat.id == ""
    desk.page.panel.undo_button.click()
    await until(lambda: desk.client.conversations.chat(chat_id).trashed_at is None)
    desk.page.chats.trash(summary)
    await until(lambda: desk.client.conversations.chat(chat_id).trashed_at is not None)
    desk.page.panel.trash_button.click()
    await until(lambda: desk.page.chats.in_trash and desk.page.chats.chats)
    trashed = desk.page.chats.chats[0]
    actions = {a.text(): a for a in desk.page.panel.make_menu(trashed).actions()}
    assert set(actions) == {"Restore", "Delete for good…"}
    actions["Delete for good…"].trigger()
    await until(lambda: desk.page.window().findChild(QPushButton, "delete") is not None)
    button = desk.page.window().findChild(QPushButton, "delete")
    assert button is not None
    button.click()
    await until(lambda: chat_id not in [c.id for c in desk.client.conversations])


async def test_rename_pin_and_settings_reach_the_server(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    chat_id = desk.page.conversation.chat.id
    stored = desk.client.conversations.chat(chat_id)
    title = desk.page.header.title
    title.setText("A better name")
    QTest.keyClick(title, Qt.Key.Key_Return)
    title.editingFinished.emit()
    await until(lambda: stored.title == "A better name")
    await until(lambda: [c.title for c in desk.page.chats.chats] == ["A better name"])
    desk.page.chats.pin(desk.page.chats.chats[0])
    await until(lambda: stored.pinned)
    settings = desk.page.settings
    settings.prompt.setPlainText("Be brief.")
    settings.knobs["temperature"].setValue(0.2)
    settings.save_now()
    await until(lambda: stored.system_prompt == "Be brief.")
    await until(lambda: stored.sampling == {"temperature": 0.2})
    settings.reset()
    settings.save_now()
    await until(lambda: stored.sampling == {})


async def test_empty_states_teach(desk: ChatDesk) -> None:
    assert desk.page.welcome.currentWidget() is desk.page.welcome.blank
    asked: list[str] = []
    desk.page.import_requested.connect(lambda: asked.append("import"))
    await desk.client.remove_model("tiny")
    await desk.client.remove_model("big")
    await until(lambda: desk.page.welcome.currentWidget() is desk.page.welcome.no_model)
    desk.page.find_requested.connect(lambda: asked.append("find"))
    desk.page.welcome.import_button.click()
    desk.page.welcome.find_button.click()
    assert asked == ["import", "find"]


async def test_the_model_button_keeps_short_what_an_error_tells_at_length(desk: ChatDesk) -> None:
    why = "The model takes 1.00 TB and 18.4 GB of memory are free."
    desk.client.fail_load("big", AppError("does_not_fit", why, "Choose a smaller one."))
    desk.page.conversation.update(model_ref="big")
    await desk.client.load_model("big")
    desk.client.release_loads()
    await until(lambda: "did not load" in desk.page.header.model_button.text())
    assert "memory" not in desk.page.header.model_button.text()


async def test_a_chat_whose_model_is_gone_says_so(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    await desk.client.remove_model("tiny")
    await until(lambda: "not on this machine any more" in desk.page.composer.hint.text())
    assert "not on this machine" in desk.page.header.model_button.text()
    assert len(desk.page.transcript.views) == 2


async def test_sticks_to_the_end_only_if_the_reader_was_there(desk: ChatDesk) -> None:
    await desk.ask("Long", "A paragraph of words.\n\n" * 80)
    transcript = desk.page.transcript
    bar = transcript.verticalScrollBar()
    assert bar.value() == bar.maximum()
    bar.setValue(100)
    assert not transcript.at_end
    held = desk.client.script_reply(["More text.\n\n" * 60], hold=True)
    desk.page.composer.box.setPlainText("And more")
    desk.page.composer.box.send_asked.emit()
    await until(lambda: len(desk.answers) == 2 and len(desk.answers[-1].body.text) > 500)
    await until(lambda: transcript.is_settled)
    assert bar.value() == 100
    assert not transcript.jump_button.isHidden()
    transcript.jump_button.click()
    held.released.set()
    await desk.idle()
    assert bar.value() == bar.maximum()
    assert transcript.jump_button.isHidden()


async def test_shift_enter_begins_a_line_and_the_box_grows_to_ten(desk: ChatDesk) -> None:
    box = desk.page.composer.box
    box.setFocus()
    one = box.wanted_height()
    QTest.keyClicks(box, "a")
    for _ in range(4):
        QTest.keyClick(box, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClicks(box, "b")
    assert box.toPlainText() == "a\n\n\n\nb"
    line = box.fontMetrics().lineSpacing()
    assert box.wanted_height() == one + 4 * line
    box.setPlainText("x\n" * 500)
    assert box.wanted_height() == one + 9 * line
    assert not desk.client.called("send")


async def test_copy_and_code_copy(desk: ChatDesk) -> None:
    answer = await desk.ask("Code?", "Look:\n\n```py\nprint('ä')\n```\n")
    answer.footer.copy_button.click()
    assert QGuiApplication.clipboard().text() == "Look:\n\n```py\nprint('ä')\n```\n"
    answer.body.views[1].copy()
    assert QGuiApplication.clipboard().text() == "print('ä')"


async def test_a_theme_switch_draws_again(desk: ChatDesk) -> None:
    answer = await desk.ask("Link?", "See [this](https://example.org).")
    view = answer.body.views[0]
    before = view.toHtml()
    desk.page._theme.use("dark")
    await until(lambda: view.toHtml() != before)
    assert desk.page._theme.hex("link") in view.toHtml()


async def test_a_chat_in_the_trash_can_be_read_and_restored(desk: ChatDesk) -> None:
    await desk.ask("One", "1")
    chat_id = desk.page.conversation.chat.id
    desk.page.new_chat()
    await desk.client.trash_chat(chat_id)
    desk.page.show_chat(chat_id)
    await until(lambda: "trash" in desk.page.banners.keys)
    assert len(desk.page.transcript.views) == 2
    assert desk.page.composer.isHidden()
    desk.page.chats.restore(chat_id)
    await until(lambda: "trash" not in desk.page.banners.keys)
    assert not desk.page.composer.isHidden()


async def test_the_list_gives_way_to_the_settings_in_a_narrow_window(desk: ChatDesk) -> None:
    page = desk.page
    page.resize(836, 600)
    page.header.settings_button.setChecked(True)
    assert page.settings.isVisible()
    assert not page.panel.isVisible()
    assert page.minimumSizeHint().width() <= 836
    page.focus_search()
    assert page.panel.isVisible()
    assert not page.settings.isVisible()
    page.header.settings_button.setChecked(True)
    page.resize(1200, 600)
    await until(page.panel.isVisible)
