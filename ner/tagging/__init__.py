"""Tagging: raw text -> entities."""
