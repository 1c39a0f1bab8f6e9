from collections import Counter

from ner.data import synthetic
from ner.tags import TagSet


def entities(language, split):
    found = []
    for row in synthetic.sentences(language, split):
        for i, tag in enumerate(row["ner_tags"]):
            if tag.startswith("B-"):
                end = i + 1
                while end < len(row["tokens"]) and row["ner_tags"][end] == "I-" + tag[2:]:
                    end += 1
                found.append((" ".join(row["tokens"][i:end]), tag[2:]))
    return found


def test_the_corpus_is_seeded_and_well_formed():
    for language in synthetic.LANGUAGES:
        for split, size in synthetic.SIZES.items():
            rows = synthetic.sentences(language, split)
            assert rows == synthetic.sentences(language, split)
            assert len(rows) == size
            assert all(len(row["tokens"]) == len(row["ner_tags"]) > 0 for row in rows)
            assert TagSet.collect({tag for row in rows for tag in row["ner_tags"]}).types == ("LOC", "ORG", "PER")
            assert not any("{" in word for row in rows for word in row["tokens"])
    assert synthetic.sentences("de", "train") != synthetic.sentences("de", "train", seed=1)


def test_the_corpus_is_hard_in_small():
    train, test = entities("de", "train"), entities("de", "test")
    types: dict[str, set[str]] = {}
    for name, kind in train:
        types.setdefault(name, set()).add(kind)
    assert sum(len(kinds) > 1 for kinds in types.values()) > 10  # ambiguous names
    assert 0.2 < sum(name not in types for name, _ in test) / len(test) < 0.8  # unseen names
    assert Counter(all(w == w.lower() for w in r["tokens"]) for r in synthetic.sentences("de", "train"))[True] > 50


def test_the_tokenizer_is_the_same_every_time():
    one, two = synthetic.build_tokenizer(), synthetic.build_tokenizer()
    assert one.backend_tokenizer.to_str() == two.backend_tokenizer.to_str()
    assert one.tokenize("Zürich") != one.tokenize("Zurich")
    assert one.decode(one("Anna wohnt in Zürich")["input_ids"], skip_special_tokens=True) == "Anna wohnt in Zürich"
