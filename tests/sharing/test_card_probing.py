"""What probes found, on a card: of results written by hand."""

from typing import Any

from ner.sharing.card_probing import probing


def result(language: str, probe: str, difference: float, **more: Any) -> dict[str, Any]:
    about = {"data": "panx", "hub": False, "config": "", "sample": ["all"], "map_tags": "", "split": "test"}
    scores = {"before": 0.5, "after": 0.5 + difference, "difference": difference, "changed": 1_234}
    interval = {"low": difference - 0.01, "high": difference + 0.01}
    return {**about, **scores, "language": language, "probe": probe, "family": "names", "interval": interval, **more}


FOUND = [
    result("de", "lower", -0.1),
    result("de", "upper", -0.3),
    result("de", "title", -0.002),
    result("de", "glued", -0.2),
    result("de", "nonsense", -0.4, family="form"),
    result("de", "swiss", 0.0, changed=0),
    result("fr", "lower", 0.02),
    result("fr", "upper", 0.0),
]


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_the_three_that_cost_most_in_each_language():
    heading, text, table = probing(FOUND)
    assert heading == "## Probing"
    assert text.startswith("F1 on test of `panx`, where its sentences, or names in them, are changed")
    assert "Of 4 changes, those that cost most in each language" in text
    assert text.endswith("In `fr` none cost anything.")
    assert rows(table) == [
        ["de", "`upper`", "1,234", "0.500", "0.200", "-0.300", "[-0.310, -0.290]"],
        ["de", "`glued`", "1,234", "0.500", "0.300", "-0.200", "[-0.210, -0.190]"],
        ["de", "`lower`", "1,234", "0.500", "0.400", "-0.100", "[-0.110, -0.090]"],
    ]


def test_each_split_of_some_data_has_its_table():
    other = [each | {"split": "validation", "sample": ["swiss"], "map_tags": "A=B"} for each in FOUND[:1]]
    _, _, first, text, second = probing(FOUND + other)
    assert text.startswith("F1 on validation of `panx`, sample swiss, types read as A=B, where")
    assert "Of 1 change, those" in text
    assert (len(rows(first)), len(rows(second))) == (3, 1)


def test_without_losses_there_is_no_table_and_without_probes_no_section():
    assert len(probing(FOUND[-2:])) == 2
    assert probing(FOUND[4:6]) == []
    assert probing([]) == []


def test_names_of_files_are_text():
    text = "\n".join(probing([result("<b>", "a`b|c", -0.1, data="[x](y)", split="<i>")]))
    assert "<b>" not in text
    assert "<i>" not in text
    assert "`ab\\|c`" in text
