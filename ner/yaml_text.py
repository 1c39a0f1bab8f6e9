"""YAML of a file that anybody may have written: read with bounds, because a few bytes of it can mean a lot."""

from typing import Any

import yaml

from ner.data.faults import InputError, one_line

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Far above what a file of options has, and above the largest data cards of the Hub: a config for each of 300 languages.
LARGEST = 2**22  # characters
MOST_VALUES = 200_000  # with all aliases written out. PyYAML takes about 1 kB for each
DEEPEST = 50  # lists in lists; PyYAML recurses
LONGEST_NUMBER = 1000  # characters; Python does not print one of more than 4,300 digits
# What PyYAML raises for values that it can not make: !!timestamp 2000-13-01, !!int without a digit, and the like.
BROKEN = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError)


def parse_yaml(text: str, place: str) -> Any:
    """What the YAML says, in plain types. Raises InputError that names the place for what is none, or too much."""
    if len(text) > LARGEST:
        raise InputError(f"{place}: {len(text):,} characters of YAML, where {LARGEST:,} are the most that is read")
    too_many = InputError(f"{place}: YAML of more than {MOST_VALUES:,} values, its aliases written out")
    num_values = depth = 0
    try:
        for event in yaml.parse(text, Loader):
            num_values += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise InputError(f"{place}: YAML that is nested too deeply, {DEEPEST} levels are the most that is read")
            if num_values > MOST_VALUES:
                raise too_many
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if weight(node, {}) > MOST_VALUES:
            raise too_many
        return loader.construct_document(node)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(f"{place}: not YAML: {one_line(error)}") from error


def weight(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values a node stands for, aliases written out; infinite for one that holds itself.

    Raises ValueError for a number that is too long.
    """
    if node.tag == "tag:yaml.org,2002:int" and len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(node.value):,} digits is too large")
    if id(node) not in known:
        known[id(node)] = float("inf")  # while its parts are counted
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(weight(part, known) for part in parts)
    return known[id(node)]
