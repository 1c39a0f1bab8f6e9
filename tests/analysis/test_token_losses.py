"""Files of token losses that are damaged."""

import pyarrow.parquet as pq
import pytest

from ner.analysis.token_losses import read
from ner.errors import InputError
from tests.report.losses import losses


def test_a_name_that_is_no_text_is_a_damaged_file(tmp_path):
    """pyarrow says so when the name is asked for, by an error that is none of its own."""
    file = tmp_path / "losses.parquet"
    pq.write_table(losses("Bern/B-LOC/O/1"), file)
    content = file.read_bytes()
    place = content.index(b"entropy")
    file.write_bytes(content[:place] + b"\xb4" + content[place + 1 :])
    with pytest.raises(InputError, match=r"losses\.parquet: not Parquet; evaluate\.py --token-losses writes such"):
        read(file)
