"""Scores by entity type of tags that any tagger made."""

from ner import classification_report

gold = [["B-PER", "I-PER", "O", "B-LOC", "I-LOC"], ["O"]]
predicted = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER"]]
for name, scores in classification_report(gold, predicted, scoring="strict").items():
    print(name, *(f"{key} {scores[key]:.3f}" for key in ("precision", "recall", "f1-score")), scores["support"])
