"""A trained model without this package: `best/` of a run folder in the pipeline of transformers.

It loads the run that `accelerate launch train.py --train-on de --output runs/de` makes.
"""

from transformers import AutoModelForTokenClassification, pipeline

model = AutoModelForTokenClassification.from_pretrained("runs/de/best")
tagger = pipeline("token-classification", model="runs/de/best", aggregation_strategy="first")
print(tagger("Claudia Meier arbeitet bei Bank Helva in Genf ."))
