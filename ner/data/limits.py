"""What a file of sentences may hold: a few bytes of it can stand for a lot of memory, or for a full disk."""

import gzip
from pathlib import Path

from ner.errors import InputError

ROWS_PER_BATCH = 10_000  # of Parquet
# What no corpus has, and a small file may: compressed, it says in some bytes what fills the memory when it is read.
LONGEST_LINE = 1 << 24  # characters of a line of text or JSON: some books
LONGEST_WORD = 10_000  # characters of a word
LONGEST_WORD_LINE = 100_000  # characters of a line of a column file: a word, and what is said of it
MOST_WORDS = 100_000  # of a sentence
MOST_VALUES = 1_000_000  # in a line of JSON: brackets and commas. Python takes some 60 bytes for each
MOST_FROM_A_BYTE = 100  # words or rows of a Parquet file for each of its bytes, beyond ANYHOW; text takes a byte a word
ANYHOW = 10_000_000
MOST_UNPACKED = 200  # bytes from a byte of a gzipped file, beyond ANYHOW_UNPACKED; text has ten, gzip can have 1,000
ANYHOW_UNPACKED = 1 << 28


class Unpacked(gzip.GzipFile):
    """The content of a gzipped file, read in parts. Raises InputError where it is more than a file of data has."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, "rb")
        self.packed_size = file.stat().st_size
        self.so_far = 0

    def read(self, size: int | None = -1) -> bytes:
        """A part, of all that is left without a size."""
        return self.counted(super().read(size))

    def read1(self, size: int = -1) -> bytes:
        """A part, as text is read."""
        return self.counted(super().read1(size))

    def counted(self, part: bytes) -> bytes:
        """The part, unless it is too much."""
        self.so_far += len(part)
        if self.so_far > ANYHOW_UNPACKED + MOST_UNPACKED * self.packed_size:
            remedy = "unpack it yourself if it is a file of data"
            raise InputError(f"{self.packed_size:,} bytes that unpack to more than {self.so_far:,}; {remedy}")
        return part
