"""The embedded corpus and its small encoder: what `make demo` and the tests run on, with no network.

Sentences are made from templates and names of Switzerland and its neighbours, written for this project. They are meant
to be hard in small: names that are a place here and a person or a club there (only the words around them tell),
sentences all in lower case, and names in validation and test that training never shows.
"""

import json
import re
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForTokenClassification, PreTrainedTokenizerFast, XLMRobertaConfig

LANGUAGES = ("de", "fr", "it", "en")
SIZES = {"train": 1000, "validation": 200, "test": 400}
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # ids as in XLM-R

FIRST = (
    "Anna Beat Carla Daniel Elena Fabio Giulia Hans Irène Jean Karin Luca Marie Nicola Olivier Paola Reto Sandra "
    "Thomas Ursula Victor Walter Yvonne Chiara Marco Sophie Peter Alice Urs Noémie Pierre Claudia Matteo Emma"
).split()
SURNAMES = (
    "Keller Meier Frei Müller Baumann Steiner Dubois Favre Rochat Moret Blanc Bernasconi Rossi Ferrari Bianchi Conti "
    "Gerber Huber Widmer Kunz Fontana Galli Perret Jaquet Smith Brown Walker Turner Ammann Brunner"
).split()
# Towns that are people's surnames too. Every town may also stand for its club.
TOWNS_AND_SURNAMES = "Wil Brugg Thun Zug Sion Morges Nyon Locarno Lugano Como Berg Payerne Aosta Lincoln".split()
TOWNS = {
    "de": "Zürich Basel Genf Bern Luzern Winterthur Chur Mailand Konstanz Freiburg Lausanne Bregenz Solothurn".split(),
    "fr": "Zurich Bâle Genève Berne Lucerne Winterthour Coire Milan Constance Fribourg Lausanne Annecy Soleure".split(),
    "it": "Zurigo Basilea Ginevra Berna Lucerna Winterthur Coira Milano Costanza Friburgo Losanna Varese Nizza".split(),
    "en": "Zurich Basel Geneva Berne Lucerne Winterthur Chur Milan Constance Fribourg Lausanne Dover Solothurn".split(),
}
REGIONS = {
    "de": ["Tessin", "Wallis", "Graubünden", "Berner Oberland", "Schweiz", "Savoyen", "Kanton Waadt"],
    "fr": ["Tessin", "Valais", "Grisons", "Oberland bernois", "Suisse", "Savoie", "canton de Vaud"],
    "it": ["Ticino", "Vallese", "Grigioni", "Oberland bernese", "Svizzera", "Savoia", "canton Vaud"],
    "en": ["Ticino", "Valais", "Grisons", "Bernese Oberland", "Switzerland", "Savoy", "canton of Vaud"],
}
# {town}: named after a place, so that the place's name is part of an organisation.
ORGANISATIONS = {
    "de": """
        Universität {town}
        FC {town}
        Spital {town}
        Bank Helva
        Alpina AG
        Verlag Edelweiss
        Stadtwerke {town}
    """,
    "fr": """
        Université de {town}
        FC {town}
        Hôpital de {town}
        Banque Helva
        Alpina SA
        Éditions Edelweiss
        Musée de {town}
    """,
    "it": """
        Università di {town}
        FC {town}
        Ospedale di {town}
        Banca Helva
        Alpina SA
        Edizioni Edelweiss
        Museo di {town}
    """,
    "en": """
        University of {town}
        FC {town}
        {town} Hospital
        Helva Bank
        Alpina Ltd
        Edelweiss Press
        {town} Museum
    """,
}
# What says that a place's name is its club.
CLUBS = {
    "de": """
        {club} gewinnt gegen {club}
        {club} verliert das Spiel gegen {club} mit 2 zu 1
        Der Trainer von {club} tritt zurück
    """,
    "fr": """
        {club} gagne contre {club}
        {club} perd le match contre {club} par 2 à 1
        L' entraîneur de {club} démissionne
    """,
    "it": """
        {club} vince contro {club}
        {club} perde la partita contro {club} per 2 a 1
        L' allenatore di {club} si dimette
    """,
    "en": """
        {club} wins against {club}
        {club} loses the match against {club} by 2 to 1
        The coach of {club} resigns
    """,
}
TEMPLATES = {
    "de": """
        {per} wohnt seit 1998 in {loc}
        {per} arbeitet bei {org} in {loc}
        {org} eröffnet eine Filiale in {loc}
        Am Montag sprach {per} mit {per} über {org}
        Der Zug von {loc} nach {loc} hat Verspätung
        In {loc} trafen sich {per} und {per}
        {per} ( * 1961 in {loc} ) ist eine Autorin
        {org}
        Die Firma wurde von {per} verkauft
        Das Wetter in {loc} bleibt am Wochenende trocken
        WEITERLEITUNG {per}
        Der Vertrag ist noch nicht unterschrieben
        Gestern hat es den ganzen Tag geregnet
        {loc} , {loc} und {loc}
        {per} verlässt {org}
        Liste der Gemeinden : {loc}
        Herr {sur} kommt aus {loc}
        laut {sur} ist {org} zu teuer
    """,
    "fr": """
        {per} habite à {loc} depuis 1998
        {per} travaille chez {org} à {loc}
        {org} ouvre une filiale à {loc}
        Lundi , {per} a parlé avec {per} de {org}
        Le train de {loc} pour {loc} est en retard
        À {loc} , {per} a rencontré {per}
        {per} ( née en 1961 à {loc} ) est une autrice
        {org}
        L' entreprise a été vendue par {per}
        À {loc} le temps reste sec ce week-end
        REDIRECTION {per}
        Le contrat n' est pas encore signé
        Hier il a plu toute la journée
        {loc} , {loc} et {loc}
        {per} quitte {org}
        Liste des communes : {loc}
        Monsieur {sur} vient de {loc}
        selon {sur} , {org} est trop cher
    """,
    "it": """
        {per} abita a {loc} dal 1998
        {per} lavora presso {org} a {loc}
        {org} apre una filiale a {loc}
        Lunedì {per} ha parlato con {per} di {org}
        Il treno da {loc} a {loc} è in ritardo
        A {loc} {per} ha incontrato {per}
        {per} ( nata nel 1961 a {loc} ) è un' autrice
        {org}
        L' azienda è stata venduta da {per}
        A {loc} il tempo resta asciutto nel fine settimana
        RINVIA {per}
        Il contratto non è ancora firmato
        Ieri ha piovuto tutto il giorno
        {loc} , {loc} e {loc}
        {per} lascia {org}
        Elenco dei comuni : {loc}
        Il signor {sur} viene da {loc}
        secondo {sur} {org} è troppo caro
    """,
    "en": """
        {per} has lived in {loc} since 1998
        {per} works for {org} in {loc}
        {org} opens a branch in {loc}
        On Monday {per} talked to {per} about {org}
        The train from {loc} to {loc} is late
        In {loc} {per} met {per}
        {per} ( born 1961 in {loc} ) is a writer
        {org}
        The company was sold by {per}
        The weather in {loc} stays dry at the weekend
        REDIRECT {per}
        The contract has not been signed yet
        Yesterday it rained all day
        {loc} , {loc} and {loc}
        {per} leaves {org}
        List of municipalities : {loc}
        Mr {sur} comes from {loc}
        {sur} says {org} is too expensive
    """,
}
TYPE = {"per": "PER", "sur": "PER", "loc": "LOC", "org": "ORG", "club": "ORG"}


def sentences(language: str, split: str, seed: int = 0) -> list[dict[str, list[str]]]:
    """Annotated sentences of one language and split: `tokens` and `ner_tags` (names). The same for the same arguments.

    Every fourth name of each list is kept out of training.
    """
    rng = np.random.default_rng([seed, LANGUAGES.index(language), list(SIZES).index(split)])
    return [sentence(language, split == "train", rng) for _ in range(SIZES[split])]


def sentence(language: str, in_training: bool, rng: np.random.Generator) -> dict[str, list[str]]:
    """One sentence from a template; a tenth is in lower case, most end in a full stop."""

    def pick(names: list[str]) -> str:
        shown = [name for i, name in enumerate(names) if i % 4 or not in_training]
        return shown[rng.integers(len(shown))]

    def name(slot: str) -> str:
        towns = TOWNS[language] + TOWNS_AND_SURNAMES
        surname = pick(SURNAMES if rng.random() < 0.7 else TOWNS_AND_SURNAMES)
        if slot == "per":
            return f"{pick(FIRST)} {surname}"
        if slot == "sur":
            return surname
        if slot == "club":
            return pick(towns)
        if slot == "org":
            return pick(lines(ORGANISATIONS[language])).replace("{town}", pick(towns))
        return pick(towns) if rng.random() < 0.75 else pick(REGIONS[language])

    templates = lines(CLUBS[language] if rng.random() < 0.12 else TEMPLATES[language])
    tokens: list[str] = []
    tags: list[str] = []
    for part in templates[rng.integers(len(templates))].split():
        slot = re.fullmatch(r"\{(\w+)\}", part)
        words = name(slot[1]).split() if slot else [part]
        tokens += words
        tags += [f"{'I' if i else 'B'}-{TYPE[slot[1]]}" for i in range(len(words))] if slot else ["O"]
    if rng.random() < 0.8:
        tokens, tags = [*tokens, "."], [*tags, "O"]
    if rng.random() < 0.1:
        tokens = [word.lower() for word in tokens]
    return {"tokens": tokens, "ner_tags": tags}


def lines(text: str) -> list[str]:
    """The lines of a block, without its indentation."""
    return [line.strip() for line in text.strip().splitlines()]


def write_corpus(folder: str | Path) -> None:
    """The corpus as JSON Lines: folder/{lang}/{split}.jsonl."""
    for language in LANGUAGES:
        (Path(folder) / language).mkdir(parents=True, exist_ok=True)
        for split in SIZES:
            rows = [json.dumps(row, ensure_ascii=False) + "\n" for row in sentences(language, split)]
            (Path(folder) / language / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")


def build_tokenizer(vocab_size: int = 300) -> PreTrainedTokenizerFast:
    """A SentencePiece-like tokenizer (BPE over words that begin with a low line) of the training sentences."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\u00ad", "")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False)
    texts = [" ".join(row["tokens"]) for language in LANGUAGES for row in sentences(language, "train")]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token", "mask_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", model_max_length=128, **names
    )


def build_encoder(tokenizer: PreTrainedTokenizerFast, hidden_size: int = 128, num_layers: int = 3) -> XLMRobertaConfig:
    """Config of a small encoder of XLM-R's shape for that tokenizer."""
    return XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )


def write_encoder(folder: str | Path, seed: int = 0) -> None:
    """Tokenizer and encoder with random weights as a folder that `from_pretrained` loads."""
    tokenizer = build_tokenizer()
    torch.manual_seed(seed)
    AutoModelForTokenClassification.from_config(build_encoder(tokenizer)).base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
