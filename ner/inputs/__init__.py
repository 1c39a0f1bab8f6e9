"""Inputs: words and tags -> tensors."""
