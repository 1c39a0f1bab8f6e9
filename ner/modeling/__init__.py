"""Modeling: encoder, head and loss."""
