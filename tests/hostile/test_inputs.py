"""A small part of tests.stress.hostile, the same each time."""

import pytest

from tests.stress import hostile


@pytest.mark.timeout(method="thread")  # it sets the alarm itself
def test_hostile_and_damaged_inputs_are_read_or_refused(tmp_path):
    found = hostile.check(tmp_path, range(40), seed=2)
    assert found["inputs"] == 40
    assert found["refused"] > 15
    assert found["failures"] == []
