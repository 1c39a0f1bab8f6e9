"""The map of entities and the alignment of languages, on vectors made by hand."""

import numpy as np
import pytest

from ner.analysis.encoder import entity_map
from ner.analysis.encoder.entity_map import EntityVectors, alignment, joined, principal_components
from ner.errors import InputError


def made(vectors: list[list[float]], types: list[int], languages: list[int]) -> EntityVectors:
    return EntityVectors(
        np.array(vectors, dtype=np.float32),
        np.array(types),
        np.array(languages),
        tuple(map(str, range(len(types)))),
        ("LOC", "PER"),
        ("de", "fr"),
    )


# Cosines are of angles: 0 and 90 degrees are the types; French lies a little beside German.
ALIGNED = made([[1, 0], [0, 9], [1, 0.1], [0.1, 1]], [0, 1, 0, 1], [0, 0, 1, 1])
# Here the languages lie apart, and within each the types are 10 degrees from each other.
APART = made([[1, 0], [1, 0.17], [0.17, 1], [0, 1]], [0, 1, 0, 1], [0, 0, 1, 1])


def test_aligned_languages():
    """By hand: each nearest neighbour is the entity of the other language with the same type."""
    found = alignment(ALIGNED)
    assert found is not None
    assert (found.same_type, found.same_language, found.num_entities) == (1.0, 0.0, 4)
    assert found.same_type_chance == 0.5
    assert found.same_language_chance == pytest.approx(1 / 3)  # of three others, one is of the same language


def test_languages_that_lie_apart():
    """By hand: abroad, both German entities are nearest to French 2, both French ones to German 1: types 0, 0; 1, 1."""
    found = alignment(APART)
    assert found is not None
    assert found.same_language == 1.0
    assert found.same_type == 0.5


def test_chance_is_what_a_random_neighbour_scores():
    """Uneven languages and types: 3 German (LOC LOC PER), 1 French (LOC)."""
    found = alignment(made([[1, 0], [1, 1], [0, 1], [1, 2]], [0, 0, 1, 0], [0, 0, 0, 1]))
    assert found is not None
    assert found.same_type_chance == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)
    assert found.same_language_chance == pytest.approx((3 * 2 / 3 + 0) / 4)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    whole = made(rng.normal(size=(23, 5)).tolist(), rng.integers(0, 2, 23).tolist(), rng.integers(0, 2, 23).tolist())
    expected = alignment(whole)
    monkeypatch.setattr(entity_map, "ROWS_PER_BLOCK", 4)
    assert alignment(whole) == expected


def test_a_single_language_has_no_alignment():
    assert alignment(made([[1, 0], [0, 1], [1, 1]], [0, 1, 0], [0, 0, 0])) is None


def test_principal_components_of_a_tilted_line():
    """Points on a line of direction (3, -4) and a little beside it: the first axis is the line, -4 made positive."""
    along = np.array([-2.0, -1, 0, 1, 2])
    beside = np.array([0.1, -0.1, 0, -0.1, 0.1])
    vectors = along[:, None] * [0.6, -0.8, 0] + beside[:, None] * [0.8, 0.6, 0] + [5, 5, 5]
    points, shares = principal_components(vectors.astype(np.float32))
    np.testing.assert_allclose(points, np.stack([-along, beside], axis=1), atol=1e-5)
    np.testing.assert_allclose(shares, [10 / 10.04, 0.04 / 10.04], atol=1e-5)


def test_the_map_does_not_depend_on_a_sign():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(30, 6)).astype(np.float32)
    points, _ = principal_components(vectors)
    order = rng.permutation(30)
    np.testing.assert_allclose(principal_components(vectors[order])[0], points[order], atol=1e-6)
    with pytest.raises(InputError, match="2 entities make no map"):
        principal_components(vectors[:2])


def test_languages_are_joined():
    names = ("LOC", "PER")
    zeros = np.zeros(2, dtype=np.int64)
    first = EntityVectors(np.ones((2, 3), np.float32), np.array([0, 1]), zeros, ("a", "b"), names, ("de",))
    second = EntityVectors(np.zeros((1, 3), np.float32), np.array([1]), zeros[:1], ("c",), names, ("fr",))
    whole = joined([first, second])
    assert (whole.types.tolist(), whole.languages.tolist(), whole.texts) == ([0, 1, 1], [0, 0, 1], ("a", "b", "c"))
    assert (whole.language_names, whole.type_names, len(whole)) == (("de", "fr"), names, 3)
