"""Analysis: scores and losses of single tokens -> where a tagger fails, and which labels are wrong."""
