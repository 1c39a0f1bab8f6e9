"""Sharing: a run for others, as a model card, on the Hub, and as ONNX."""
