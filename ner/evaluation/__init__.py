"""Evaluation: predictions -> scores, with their intervals."""
