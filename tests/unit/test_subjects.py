"""Where a text says a thing: words, and tokens by any count of them."""

from __future__ import annotations

import pytest

from comfyui_fgdm.objects.subjects import mention, subjects_of


def count(word: str) -> int:
    """A token for each letter or sign: whatever token is meant can be read off the text."""
    return len(word)


def said(text: str, token: int) -> str:
    """The letter that a token stands for; token 0 is the start."""
    return "".join(text.split())[token - 1]


@pytest.mark.parametrize(
    ("text", "asked", "names", "letters"),
    [
        ("a dog and a bicycle under a tree", "", ("dog", "bicycle", "tree"), "gee"),
        ("a dog, two cats; a tree.", "", ("dog", "cats", "tree"), "gse"),
        ("a traffic light beside a tree", "", ("traffic light", "tree"), "te"),
        ("a dog and a tree", "tree, a dog", ("tree", "a dog"), "eg"),
        ("dog dog cat", "", ("dog", "cat"), "gt"),
    ],
)
def test_a_subject_is_the_last_token_of_its_words(text: str, asked: str, names: tuple[str, ...], letters: str) -> None:
    found = subjects_of(text, count, asked)
    assert found.names == names and [said(text, token) for token in found.tokens] == list(letters)
    assert found.length == 1 + len("".join(text.split()))
    assert said("dog dog", subjects_of("dog dog", count).tokens[0]) == "g" and subjects_of("dog dog", count).tokens == (
        3,
    )


def test_what_cannot_be_attended_to_is_refused() -> None:
    for text, asked, wrong in (
        ("a dog", "cat", "words: 'cat' is not in the text"),
        ("justice", "", "words: no object is named"),
        ("a dog " + 20 * "word ", "", "text: it has 84 tokens, and at most 75"),
    ):
        with pytest.raises(ValueError, match=wrong):
            subjects_of(text, count, asked)


def test_the_first_mention_counts() -> None:
    assert mention("A fire-hydrant and a fire hydrant", "fire hydrant") == (1, 1)
    assert mention("a dog", "a cat") == mention("a dog", " ") == ()
