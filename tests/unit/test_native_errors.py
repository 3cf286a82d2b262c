"""What the chat-format library says reaches a person as one sentence."""

from __future__ import annotations

from freehold.engine.native import native_error


def test_the_source_of_a_template_is_left_out_and_its_words_are_kept() -> None:
    said = (
        "Unable to generate parser for this template. Automatic parser generation failed: \n"
        "------------\nWhile executing CallExpression at line 1, column 19 in source:\n"
        "...{{ raise_exception('no') }}      ...\n                     ^\n"
        "Error: Jinja Exception: no"
    )
    assert native_error("invalid_template", said).message == (
        "The model's chat template could not be applied: Unable to generate parser for this"
        " template. Automatic parser generation failed: Jinja Exception: no."
    )


def test_line_ends_become_spaces_and_long_words_are_cut() -> None:
    error = native_error("invalid_grammar", "JSON schema conversion failed:\nunrecognized type x")
    assert "\n" not in error.message
    assert error.message.endswith("conversion failed: unrecognized type x.")
    assert len(native_error("internal", "x" * 10_000).message) < 600
