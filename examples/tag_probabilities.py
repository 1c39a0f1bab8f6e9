"""The probability of every label of a model, for every word of a text.

It loads the run that `accelerate launch train.py --train-on de fr it en --output runs/all` makes.
"""

from ner import Tagger

tagger = Tagger.from_pretrained("runs/all", probabilities=True)
for tagged in tagger.tag(["Bayer 04 Leverkusen"]):
    for i, (start, end) in enumerate(tagged.words):
        print(tagged.text[start:end], tagged.tags[i], tagged.probabilities_of(i))
