"""The documents' part of the style sheet; filled in with the theme's colours."""

from __future__ import annotations

from typing import Final

SHEET: Final = """
QFrame[docChip="plain"] {
    background: ${surface}; border: 1px solid ${border}; border-radius: ${radius}; }
QFrame[docChip="plain"]:hover { background: ${hover}; }
QFrame[docChip="plain"]:focus, QFrame[docChip="error"]:focus { border: 2px solid ${focus}; }
QFrame[docChip="error"] {
    background: ${danger-soft}; border: 1px solid ${danger}; border-radius: ${radius}; }
QFrame[docChip] QToolButton { padding: 2px; }
QLabel[role="chipName"] { font-weight: 600; font-size: ${font-small}; }
QPushButton[foldChips="true"] { padding: 2px 8px 2px 4px; font-size: ${font-small};
    min-height: 18px; }
QPushButton[source="true"] {
    background: ${accent-soft}; color: ${accent}; border: 1px solid transparent;
    border-radius: 10px; padding: 1px 10px; font-size: ${font-small}; min-height: 18px; }
QPushButton[source="true"]:hover { border-color: ${accent}; }
QPushButton[source="true"]:focus { border: 2px solid ${focus}; padding: 0 9px; }
QPushButton[attached="true"] {
    background: ${surface}; color: ${text}; border: 1px solid ${border};
    border-radius: ${radius-small}; padding: 2px 10px 2px 6px; font-size: ${font-small};
    min-height: 20px; }
QPushButton[attached="true"]:hover { background: ${hover}; }
QPushButton[attached="true"]:focus { border: 2px solid ${focus}; padding: 1px 9px 1px 5px; }
QFrame[absent="true"] { background: ${info-soft}; border: none; border-radius: ${radius}; }
QFrame#citationCard {
    background: ${surface-raised}; border: 1px solid ${border-strong}; border-radius: ${radius}; }
QFrame#reader { background: ${window}; border: none; border-left: 1px solid ${border}; }
QFrame#readerHead, QFrame#readerFoot { background: ${window}; border: none; }
QFrame#readerHead { border-bottom: 1px solid ${border}; }
QFrame#readerFoot { border-top: 1px solid ${border}; }
QScrollArea#pages { background: ${surface-sunken}; }
QPlainTextEdit#readerText, QPlainTextEdit#readerText:focus {
    background: ${surface}; border: none; border-radius: 0; padding: 16px 22px; }
QFrame#readerHead QLineEdit { padding: 2px 6px; min-height: 20px; }
QFrame#readerHead QLineEdit:focus { padding: 1px 5px; }
QFrame[docRow="true"] { background: transparent; border: none; border-radius: ${radius}; }
QFrame[docRow="true"]:hover { background: ${hover}; }
"""
