"""Entities of a text, with their characters and scores: a run folder, model folder or Hub name as a function.

It loads the run that `accelerate launch train.py --train-on de fr it en --output runs/all` makes.
"""

from ner import Tagger

tagger = Tagger.from_pretrained("runs/all")  # or a model folder, or a Hub name of any token classifier
for entity in tagger("Jeff Dean ist ein Informatiker bei Google in Kalifornien."):
    print(entity.type, entity.text, entity.start, entity.end, round(entity.score, 2))
