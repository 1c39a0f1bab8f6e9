"""What a file of sentences may hold: a few bytes of it can stand for a lot of memory."""

ROWS_PER_BATCH = 10_000  # of Parquet
# What no corpus has, and a small file may: compressed, it says in some bytes what fills the memory when it is read.
LONGEST_LINE = 1 << 24  # characters of a line of text or JSON: some books
LONGEST_WORD = 10_000  # characters of a word
LONGEST_WORD_LINE = 100_000  # characters of a line of a column file: a word, and what is said of it
MOST_WORDS = 100_000  # of a sentence
MOST_VALUES = 1_000_000  # in a line of JSON: brackets and commas. Python takes some 60 bytes for each
MOST_FROM_A_BYTE = 100  # words or rows of a Parquet file for each of its bytes, beyond ANYHOW; text takes a byte a word
ANYHOW = 10_000_000
MOST_UNPACKED = 200  # bytes from a byte of a gzipped Parquet file, beyond ANYHOW_UNPACKED
ANYHOW_UNPACKED = 1 << 28
