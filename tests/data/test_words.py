"""Text -> words."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit

from ner.data.words import HAN, split_edges, split_spaces
from tests.processes import fork

# What `split_edges` finds, as it is said most simply; of a run of marks within a word it takes the length squared.
MARKS = r"(?:[\p{P}\p{S}][\p{M}\u200d]*)+"
SIMPLE = Sequence([WhitespaceSplit(), Split(Regex(rf"\A{MARKS}|{MARKS}\z"), "isolated"), HAN])
# Letters, marks, what modifies them, emoji, Han, white space; and some of each kind that others may take for another.
CHARACTERS = (
    "aÉ0ßب" + "-.!(»…“$+^_" + "\u0301\u0327\u093f\u20e3\ufe0e\ufe0f\u200d" + "😀\U0001f3d4\U0001f3fd©"
    "伯尔々〇。，" + " \t\n\r\u0085\u00a0\u2028\u3000" + "\x1c\u200b\u200c\u2060\u00ad\ue000\u0378"  # noqa: RUF001
)


@settings(max_examples=2000)
@given(st.text(st.sampled_from(CHARACTERS), max_size=12))
@example("(Saint-Étienne),")
@example("-\u0301-\u0301a\u0301-\u0301-")
@example("\u0301\u200d!!\u0301")
@example("❤️\u200d🔥Bern❤️\u200d🔥")
def test_marks_at_the_ends_of_words_are_by_themselves(text):
    assert split_edges(text) == [offsets for _, offsets in SIMPLE.pre_tokenize_str(text)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_marks_of_any_text(text):
    assert split_edges(text) == [offsets for _, offsets in SIMPLE.pre_tokenize_str(text)]


def test_words_between_blanks():
    """A no-break space is part of a word, as in corpora; what ends a field or a line of a file is not."""
    text = " Bern\tist\r\nschön,  16\u00a0km\r\u2028\x0b\x85\n"
    assert [text[slice(*word)] for word in split_spaces(text)] == [
        "Bern", "ist", "schön,", "16\u00a0km", "\u2028\x0b\x85"]  # fmt: skip
    assert split_spaces("\t \n") == []


LONG = """
from ner.data.words import split_edges
size = 300_000
for before, run, behind in [("a", "-", "a"), ("", "-", ""), ("a", "-\u0301", "a"), ("a\u0301", "\u0301-", "a"),
                            ("a", "\u0301", "a"), ("", "\u0301", "-"), ("a", "-a", ""), ("a", "-", "")]:
    text = before + run * (size // len(run)) + behind
    words = split_edges(text)
    assert [a for a, _ in words[1:]] == [b for _, b in words[:-1]] and words[-1][1] == len(text), words
"""


def test_a_long_run_of_marks_takes_no_time():
    """In a process that can be killed: it is held in C, and what took its length squared took minutes for each."""
    fork(LONG, seconds=100)
