"""Training: what the loop in train.py calls."""
