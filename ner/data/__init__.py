"""Data: a name or path -> checked words and IOB2 tags of each language and split."""
