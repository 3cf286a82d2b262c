"""The chat view's part of the style sheet; filled in with the theme's colours."""

from __future__ import annotations

from typing import Final

SHEET: Final = """
QTextBrowser[prose="true"], QTextBrowser[prose="true"]:focus {
    background: transparent; border: none; border-radius: 0; padding: 0; }
QFrame[codeBlock="true"] {
    background: ${surface-sunken}; border: 1px solid ${border}; border-radius: ${radius}; }
QFrame[codeBlock="true"] QToolButton { font-size: ${font-small}; padding: 3px 8px; }
QPlainTextEdit[code="true"], QPlainTextEdit[code="true"]:focus {
    background: transparent; border: none; border-radius: 0; padding: 8px 12px; }
QTableView[grid="true"] {
    background: ${surface}; border: 1px solid ${border}; border-radius: ${radius};
    gridline-color: ${border}; selection-background-color: ${selection};
    selection-color: ${selection-text}; }
QTableView[grid="true"]::item { padding: 0 10px; }
QTableView[grid="true"] QHeaderView { background: ${surface-sunken}; }
QTableView[grid="true"] QHeaderView::section {
    background: ${surface-sunken}; color: ${text-muted}; border: none;
    border-bottom: 1px solid ${border}; padding: 6px 10px; }
QTableView[grid="true"] QTableCornerButton::section { background: ${surface-sunken}; border: none; }
QWidget[bubble="true"] { background: ${user-bubble}; border-radius: ${radius-large}; }
QWidget[thinking="true"] { border: none; border-left: 3px solid ${border}; }
QToolButton[fold="true"] { color: ${text-muted}; padding: 4px 8px 4px 0; font-size: ${font-small}; }
QToolButton[fold="true"]:checked { background: transparent; color: ${text-muted}; }
QToolButton[fold="true"]:hover { background: ${hover}; color: ${text}; }
QToolButton[expand="true"] {
    color: ${link}; font-size: ${font-small}; padding: 5px 10px; text-align: left; }
QFrame[toolCard="true"] {
    background: ${surface}; border: 1px solid ${border}; border-radius: ${radius}; }
QFrame[failure="error"] { background: ${danger-soft}; border: none; border-radius: ${radius}; }
QFrame[failure="warning"] { background: ${warning-soft}; border: none; border-radius: ${radius}; }
QPushButton[floating="true"] {
    background: ${surface-raised}; color: ${text}; border: 1px solid ${border-strong};
    border-radius: 17px; padding: 5px 14px; min-height: 22px; }
QPushButton[floating="true"]:hover { background: ${hover}; }
QFrame#composer {
    background: ${surface}; border: 1px solid ${border-strong}; border-radius: ${radius-large}; }
QFrame#composer[focused="true"] { border: 2px solid ${focus}; }
QFrame#composer QPlainTextEdit, QFrame#composer QPlainTextEdit:focus {
    background: transparent; border: none; padding: 0; }
QFrame#chatPanel { background: ${sidebar}; border: none; border-right: 1px solid ${border}; }
QFrame#chatPanel QListView { background: transparent; border: none; }
QFrame#chatHeader { background: ${window}; border: none; border-bottom: 1px solid ${border}; }
QFrame#chatHeader QLineEdit {
    background: transparent; border: 1px solid transparent; font-weight: 600; padding: 5px 9px; }
QFrame#chatHeader QLineEdit:hover { border-color: ${border}; }
QFrame#chatHeader QLineEdit:focus {
    background: ${surface}; border: 2px solid ${focus}; padding: 4px 8px; }
QFrame#settingsPanel { background: ${surface}; border: none; border-left: 1px solid ${border}; }
QFrame#undoStrip {
    background: ${surface-raised}; border: 1px solid ${border-strong}; border-radius: ${radius}; }
QFrame#modelMenu {
    background: ${surface-raised}; border: 1px solid ${border-strong}; border-radius: ${radius}; }
QFrame#settingsPanel QDoubleSpinBox QLineEdit, QFrame#settingsPanel QDoubleSpinBox QLineEdit:focus {
    background: transparent; border: none; padding: 0 8px; min-height: 0; }
QFrame[modelRow="true"] { border: none; border-radius: ${radius-small}; background: transparent; }
QFrame[modelRow="true"][hovered="true"], QFrame[modelRow="true"]:focus { background: ${hover}; }
QPushButton#modelButton { padding: 5px 12px; min-height: 22px; }
"""
