import numpy as np
import pytest
import seqeval.metrics
import torch
from accelerate import Accelerator

from ner.evaluation.inference import evaluate, predict, word_logits
from ner.inputs.collators import PackedCollator, PaddedCollator
from ner.inputs.encoding import encode
from ner.modeling.loss import token_loss
from tests.conftest import TAGS
from tests.inputs.test_encoding import dataset


@pytest.fixture
def sharp(model):
    """The small encoder with a head of large weights, so that it predicts many tags."""
    torch.nn.init.normal_(model.classifier.weight, std=3.0)
    return model.eval()


def one_by_one(model, tokenizer, rows):
    """Tag and loss of every word, each sentence alone, the plain way."""
    tags, losses = [], []
    for row in rows:
        encoding = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        logits = model(**encoding).logits[0].detach()
        words = encoding.word_ids()
        first = [words.index(w) for w in range(len(row["tokens"]))]
        tags += logits[first].argmax(-1).tolist()
        losses += token_loss(logits[None, first], torch.tensor([row["ner_tags"]]))[0].tolist()
    return tags, losses


@pytest.mark.parametrize("packed", [True, False])
def test_words_come_back_in_order(sharp, german, tokenizer, accelerator, packed):
    rows = german.select(range(300))
    encoded = encode(rows, tokenizer, TAGS, max_length=128)
    collator = PackedCollator.for_model(sharp, 32) if packed else PaddedCollator(1)
    done: list[int] = []
    predictions = predict(sharp, encoded, collator, accelerator, outside=0, max_tokens=512, progress=done.append)
    expected_tags, expected_losses = one_by_one(sharp, tokenizer, rows)
    assert predictions.tags.tolist() == expected_tags
    np.testing.assert_allclose(predictions.losses, expected_losses, rtol=1e-3, atol=1e-4)
    assert predictions.mine.all()
    assert sum(done) == 300


def test_scores_are_seqevals(sharp, german, tokenizer, accelerator):
    rows = german.select(range(200))
    encoded = encode(rows, tokenizer, TAGS, max_length=24)  # windows
    counts = evaluate(sharp, encoded, PackedCollator.for_model(sharp, 32), accelerator, TAGS, max_tokens=512)
    predictions = predict(sharp, encoded, PaddedCollator(1), accelerator, outside=0, max_tokens=512)
    cuts = encoded.word_offsets[1:-1]
    gold = [[TAGS.names[i] for i in row] for row in rows["ner_tags"]]
    predicted = [[TAGS.names[i] for i in row] for row in np.split(predictions.tags, cuts)]
    assert counts.f1 == pytest.approx(seqeval.metrics.f1_score(gold, predicted))
    assert counts.words == sum(map(len, gold))
    assert counts.scores()["loss"] == pytest.approx(predictions.losses.mean(), rel=1e-4)


def test_a_word_without_a_subtoken_is_predicted_o_and_missed(sharp, tokenizer, accelerator):
    rows = dataset(("Anna \u00ad wohnt", "O B-LOC O"), ("\u00ad", "B-ORG"))
    encoded = encode(rows, tokenizer, TAGS, max_length=32)
    predictions = predict(sharp, encoded, PackedCollator.for_model(sharp, 32), accelerator, outside=0, max_tokens=64)
    assert predictions.tags[[1, 3]].tolist() == [0, 0]
    for values in (predictions.losses, predictions.p_gold, predictions.p_predicted, predictions.entropy):
        assert np.isnan(values).tolist() == [False, True, False, True]
    counts = evaluate(sharp, encoded, PaddedCollator(1), accelerator, TAGS, max_tokens=64)
    assert counts.scores()["support"] == 2
    assert (counts.words, counts.scored_words) == (4, 2)


def test_each_word_is_scored_on_one_of_several_processes(sharp, encoded):
    """What two processes would do, one after the other."""

    class Process(Accelerator):
        num_processes = 2
        process_index = 0

    shares = []
    for index in range(2):
        process = Process(cpu=True)
        process.process_index = index
        collator = PackedCollator.for_model(sharp, 32)
        shares.append(predict(sharp, encoded, collator, process, outside=0, max_tokens=512))
    alone = predict(sharp, encoded, PaddedCollator(1), Accelerator(cpu=True), outside=0, max_tokens=512)
    assert (shares[0].mine ^ shares[1].mine).all()
    for share in shares:
        mine = share.mine
        assert 0.4 < mine.mean() < 0.6
        assert (share.tags[mine] == alone.tags[mine]).all()
        np.testing.assert_allclose(share.losses[mine], alone.losses[mine], rtol=1e-3, atol=1e-4)


def test_more_processes_make_fewer_micro_batches_each(sharp, encoded):
    """Not smaller ones: a GPU is as long over a few rows as over many."""

    class Process(Accelerator):
        num_processes = 1

    collator = PackedCollator.for_model(sharp, 32)
    numbers = {}
    for num_processes in (1, 4):
        process = Process(cpu=True)
        process.num_processes = num_processes
        numbers[num_processes] = len(list(word_logits(sharp, encoded, collator, process, max_tokens=512)))
    assert numbers[1] / 4.5 < numbers[4] < numbers[1] / 3.5


def test_probabilities_are_those_of_the_logits(sharp, german, tokenizer, accelerator):
    rows = german.select(range(50))
    encoded = encode(rows, tokenizer, TAGS, max_length=128)
    found = predict(sharp, encoded, PackedCollator.for_model(sharp, 32), accelerator, outside=0, max_tokens=512)
    expected = []
    for row in rows:
        encoding = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
        words = encoding.word_ids()
        p = sharp(**encoding).logits[0].detach().double().softmax(-1)
        for word, gold in enumerate(row["ner_tags"]):
            own = p[words.index(word)]
            expected.append([own[gold], own.max(), torch.special.entr(own).sum()])
    ours = np.stack([found.p_gold, found.p_predicted, found.entropy], axis=1)
    np.testing.assert_allclose(ours, np.array(expected), rtol=1e-3, atol=1e-4)
    assert 0.2 < ours[:, 2].max() < np.log(len(TAGS)) + 1e-6
