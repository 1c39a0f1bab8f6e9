"""Marked entities, in colours and without."""

import re

from ner.tagging.document import Entity
from ner.tagging.rendering import for_terminal, has_colours

TEXT = "Jeff Dean ist bei Google."
ENTITIES = [Entity("PER", "Jeff Dean", 0, 9, 0.9), Entity("TOOL", "Google", 18, 24, 0.8)]


def test_brackets():
    assert for_terminal(TEXT, ENTITIES, colours=False) == "[PER Jeff Dean] ist bei [TOOL Google]."


def test_colours_differ_and_leave_the_text():
    shown = for_terminal(TEXT, ENTITIES, colours=True)
    assert len(set(re.findall(r"48;5;\d+", shown))) == 2
    plain = re.sub(r"\x1b\[[\d;]*m", "", shown)
    assert plain == " Jeff Dean PER  ist bei  Google TOOL ."


def test_no_colours_without_a_terminal(monkeypatch, capsys):
    assert not has_colours()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours()
    monkeypatch.delenv("NO_COLOR")
    assert has_colours()


def test_a_terminal_obeys_nothing_of_a_text():
    text, name = "a\x1b]0;x\x07b \x9b2J\u202e", "\x1b[31mPER"
    for colours in (False, True):
        shown = for_terminal(text, [Entity(name, text[:5], 0, 5, 0.9)], colours)
        ours = re.sub(r"\x1b\[[\d;]*m", "", shown)
        assert ours.isprintable()
        assert ours.count("\\x1b") == 2
