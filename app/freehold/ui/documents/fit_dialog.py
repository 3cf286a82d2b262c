"""What to do when documents do not fit the context: the person decides, with the numbers."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from freehold.ui.documents.words import counted, fit_words
from freehold.ui.theme import Theme
from freehold.ui.widgets.question import Choice, ask
from freehold.wire_documents import DocumentFit


async def ask_fit(theme: Theme, parent: QWidget, fit: DocumentFit, count: int) -> str:
    """Return "search", "first", or "" when the person does not want either."""
    title = "This document is too long to be read whole"
    if count > 1:
        title = "These documents are too long to be read whole"
    text = (
        f"{fit_words(fit, count)}\n\n"
        "Index it: for each question the passages that fit it best are searched out of all"
        " pages. Questions that count or sum up go through every part.\n\n"
    )
    choices = [Choice("cancel", "Cancel", "quiet")]
    if 0 < fit.first_pages < fit.pages:
        pages = counted(fit.first_pages, "page")
        text += (
            f"Continue with the first {pages}: the model reads those alone, whole, of"
            f" {fit.pages:,}.\n\n"
        )
        choices.append(Choice("first", f"Continue with the first {pages}"))
    choices.append(Choice("search", "Index it", "primary"))
    text += "This chat remembers what you choose."
    answer = await ask(theme, parent, title, text, choices)
    return "" if answer.key == "cancel" else answer.key
