"""The model card of a run: README.md in its folder, made anew from the folder's other files by training and evaluation.

A card is public where a run folder is not: no path of this machine comes into it, only the last part of one.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from urllib.parse import quote

import yaml
from huggingface_hub import EvalResult, ModelCardData

from ner.config import UNKNOWN_LICENSE, HubOptions, RunOptions
from ner.data.sampling import parse_sample
from ner.data.words import split_edges
from ner.errors import InputError, printable
from ner.evaluation.bootstrap import Interval
from ner.files import write_atomic
from ner.sharing.card_probing import probing
from ner.sharing.run_record import Facts, Scores, last_part, place, read_facts
from ner.tagging.examples import EXAMPLES
from ner.training.log_entries import to_markdown
from ner.training.run_folder import CARD, EVALUATION, OURS, PROBING, own_card
from ner.utils import DASH, aligned, code, quoted, table

SHORT = 12  # a longer table of evaluations is folded away
SILVER = re.compile(r"pan-?x|wikiann", re.IGNORECASE)
PRIVATE = {item.name for group in (RunOptions, HubOptions) for item in fields(group)} | {"resume"}  # not on a card


def write_card(folder: Path) -> None:
    """Writes the card of a run folder, unless there is one that somebody else wrote. Raises OSError and InputError."""
    if own_card(folder) is None:
        write_atomic(folder / CARD, make_card(folder))


def make_card(folder: Path, repository: str | None = None) -> str:
    """The card of a run folder as text. repository: where the model is, None for beside the card, in best/.

    Raises InputError for a file that is damaged, OSError for one that cannot be read.
    """
    try:
        facts = read_facts(folder)
        head = metadata(facts, repository).to_yaml()
        parts = [
            f"# {quoted((repository or facts.name).rpartition('/')[2])}",
            summary(facts),
            *evaluations(facts),
            *probing(facts.probing),
            training(facts),
            *progress(facts),
            *made_with(facts),
            usage(facts, repository or "best"),
            limits(facts),
            license_text(facts),
            all_options(facts),
            OURS,
        ]
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # JSON of any shape
        files = f"metrics.json, {EVALUATION} or {PROBING}"
        raise InputError(f"{folder}: {files} lacks what a card needs: {error!r}") from error
    return f"---\n{head}\n---\n\n" + "\n\n".join(parts) + "\n"


def metadata(facts: Facts, repository: str | None) -> ModelCardData:
    """The head of the card. Nothing local is in a field that the Hub takes for a name of its own."""
    options, (model, data) = facts.options, (facts.hub["model"], facts.hub["data"])
    results = [
        EvalResult(
            task_type="token-classification",
            task_name="Named-entity recognition",
            dataset_type=scores["data"],
            dataset_name=f"{scores['data']}, {scores['language']}: {scores['sentences']:,} sentences",
            dataset_config=(scores["config"] or scores["language"]).replace("{lang}", scores["language"]),
            dataset_split=scores["split"],
            metric_type=metric,
            metric_value=round(scores["scores"]["default"][metric], 4),
        )
        for scores in facts.scores
        if scores["hub"] and scores["split"] == "test"
        for metric in ("f1", "precision", "recall")
    ]
    languages = [language for language in options.train_on if re.fullmatch("[a-z]{2,3}", language)]
    return ModelCardData(
        language=languages or None,
        license=options.license,
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["named-entity-recognition"],
        base_model=model,
        datasets=[data] if data else None,
        metrics=["f1", "precision", "recall"],
        model_name=printable((repository or facts.name).rpartition("/")[2]) if results else None,
        eval_results=results or None,
        widget=widget(options.train_on) or None,
    )


def widget(languages: Sequence[str]) -> list[dict[str, str]]:
    """What the Hub's page of the model offers to try: a text in each of these languages that there is one for.

    With blanks around punctuation marks, as in training: what tags it there, splits at blanks alone.
    """
    examples = [EXAMPLES[language] for language in languages if language in EXAMPLES]
    return [
        {"text": " ".join(text[start:end] for start, end in split_edges(text)), "example_title": title}
        for title, text in examples
    ]


def summary(facts: Facts) -> str:
    """What the model is."""
    kinds = f"entities of the types {', '.join(map(quoted, facts.types))}" if facts.types else "entities"
    learnt = f"{shown(facts, 'model')}, fine-tuned on {codes(facts.options.train_on)} of {shown(facts, 'data')}"
    others = f" It builds on taggers of {codes(facts.also_trained_on)}." if facts.also_trained_on else ""
    return f"Finds {kinds} in text: {learnt}.{others}"


def shown(facts: Facts, which: str) -> str:
    """The encoder (`model`) or the `data`: linked on the Hub, by the last part of its path where it is local."""
    if name := facts.hub[which]:
        prefix = "datasets/" if which == "data" else ""
        return f"[{quoted(name)}](https://huggingface.co/{prefix}{quote(name)})"
    return f"{code(last_part(getattr(facts.options, which)))} (local)"


def codes(languages: Sequence[str]) -> str:
    """Languages in a sentence: `it` as code is no English word."""
    return ", ".join(map(code, languages))


def evaluations(facts: Facts) -> list[str]:
    """A section for each evaluation: the run's row of the F1 matrix, and scores by type."""
    groups: dict[tuple[str, ...], list[Scores]] = {}
    for scores in facts.scores:
        groups.setdefault(place(scores)[:-1], []).append(scores)
    return [part for group in groups.values() for part in evaluation(facts, group)]


def evaluation(facts: Facts, group: Sequence[Scores]) -> list[str]:
    """The section of one split of some data. group: scores of each language."""
    trained_on = facts.options.train_on
    order = [*trained_on, *(scores["language"] for scores in group)]
    group = sorted(group, key=lambda scores: order.index(scores["language"]))
    first, by_language = group[0], {scores["language"]: scores["scores"]["default"] for scores in group}
    read_as = [] if first["sample"] == ["all"] else [f"sample {quoted(' '.join(first['sample']))}"]
    read_as += [f"types read as {quoted(first['map_tags'])}"] if first["map_tags"] else []
    heading = f"## F1 on {quoted(first['split'])} of {code(first['data'])}" + "".join(f", {what}" for what in read_as)
    rows = [[quoted("+".join(trained_on)), *(f"{scores['f1']:.3f}" for scores in by_language.values())]]
    if all("interval" in scores for scores in by_language.values()):
        rows.append(["95% interval", *(str(Interval(**scores["interval"])) for scores in by_language.values())])
    rows += [
        [title, *(DASH if scores[key] is None else f"{scores[key]:,}" for scores in group)]
        for key, title in (("sentences", "sentences"), ("seen", "of these, trained on"))
        if any(scores[key] is not None for scores in group)
    ]
    others = [language for language in by_language if language not in (*trained_on, *facts.also_trained_on)]
    text = ["Micro average over whole entities: an entity counts if its words and its type are those of the data."]
    if len(rows) > 1:
        text.append("Intervals are by bootstrap over sentences; how much another seed moves a score is not in them.")
    if others:
        text.append(f"It was trained on no {codes(others)}: there it works zero-shot.")
    if first["split"] == "validation":
        text.append("The model was chosen by its score on validation sentences, which flatters it there.")
    keys = ("precision", "recall", "f1")
    lines = [
        [quoted(language), quoted(type_), *(f"{row[key]:.3f}" for key in keys), row["support"]]
        for language, scores in by_language.items()
        for type_, row in [*scores["per_type"].items(), ("all", scores)]
    ]
    types = table(["language", "type", "precision", "recall", "F1", "entities"], lines)
    return [heading, aligned(list(map(quoted, by_language)), rows), " ".join(text), types]


def training(facts: Facts) -> str:
    """How it was trained."""
    options, metrics = facts.options, facts.metrics
    best = metrics["best"]
    shares = parse_sample(options.sample)
    kept = [f"{quoted(lang)} {shares[lang]:.1%}" for lang in options.train_on if lang in shares]
    used = metrics.get("train_sentences_by_language", {})
    few = {name: f"{used[name]:,} of " for name, whole in facts.sentences.items() if used.get(name, whole) < whole}
    each = ", ".join(f"{quoted(name)} {few.get(name, '')}{whole:,}" for name, whole in facts.sentences.items())
    cut = "the first after a shuffle of " if options.max_train_sentences and not few else ""
    by = f"F1 of {best['sentences']:,} validation sentences" if "sentences" in best else "validation F1"
    rows = {
        "encoder": shown(facts, "model"),
        "data": shown(facts, "data"),
        "share of each split that was read": ", ".join(kept),
        "training sentences": f"{metrics['train_sentences']:,}" + (f" ({cut}{each})" if each else ""),
        "steps": f"{metrics['steps']:,} of {options.batch_size} sentences each",
        "best model": f"after step {best['step']:,} (epoch {best['epoch']:g}), by {by}: {best['f1']:.3f}",
        "optimizer": f"AdamW, learning rate {options.lr:g} ({options.schedule}, warm-up {options.warmup:g}), "
        f"weight decay {options.weight_decay:g}",
        "precision": {"no": "fp32", "auto": ""}.get(options.mixed_precision, options.mixed_precision),
        "seed": str(options.seed),
    }
    return "## How it was trained\n\n" + table(["", ""], [[key, text] for key, text in rows.items() if text])


def progress(facts: Facts) -> list[str]:
    """The evaluations of the training as a table, folded away where there are many."""
    if not facts.evaluations:
        return []
    text = (
        "Validation scores while it was trained. Losses are means in nats: that of training over the steps since the "
        "evaluation before, with dropout; that of validation over words. The scores are as above, accuracy is of words."
    )
    shown = to_markdown(facts.evaluations)
    if len(facts.evaluations) > SHORT:
        summary = f"<summary>{len(facts.evaluations):,} evaluations</summary>"
        shown = f"<details>\n{summary}\n\n{shown}\n\n</details>"
    return [text, shown]


def made_with(facts: Facts) -> list[str]:
    """Versions, device and commit as a table; of a run of an older version they are not known."""
    known = facts.metrics.get("environment")
    if not known:
        return []
    git = known["git"]
    changed = {True: ", with changes that are not committed", False: "", None: ""}
    rows = {
        **{name: version for name, version in known["versions"].items() if version},
        "device": known["device"],
        "processes": known["processes"],
        "commit of the code": git and f"{git['commit']}{changed[git['dirty']]}",
    }
    lines = [[quoted(name), quoted(str(value))] for name, value in rows.items() if value]
    return ["What it was made with:", table(["", ""], lines)]


def usage(facts: Facts, model: str) -> str:
    """Programs that use the model. model: what they load."""
    strategy, trained = "first", "the first sub-token"
    if facts.options.label_tokens == "all":
        strategy, trained = "simple", "all sub-tokens"
    return f"""## How to use it

```python
from transformers import pipeline

tagger = pipeline("token-classification", model="{model}", aggregation_strategy="{strategy}")
print(tagger("Anna Keller , FC Basel , Bern"))
```

It was trained on {trained} of each word, and punctuation marks were words of their own: put blanks around
them, or let the library that trained it find the words:

```python
from ner import Tagger

tagger = Tagger.from_pretrained("{model}")
print(tagger("Anna Keller, FC Basel, Bern"))
```"""


def limits(facts: Facts) -> str:
    """What to know before trusting it: what is known to hold, and nothing that is not."""
    trained = is_silver(facts.hub["data"] or last_part(facts.options.data), facts.options.data_config)
    tested = any(is_silver(scores["data"], scores["config"]) for scores in facts.scores)
    found = []
    if trained or tested:
        uses = {"trains it": trained, "tests it": tested}
        silver_uses = " and ".join(use for use, is_used in uses.items() if is_used)
        found.append(
            f"What {silver_uses} is PAN-X (WikiANN), whose labels are silver: a program put them on sentences of "
            "Wikipedia, not people. Scores on it measure agreement with those labels, their mistakes included."
        )
        found.append(
            "Sentences of PAN-X are encyclopedic and short, many of them a title or an item of a list. Text of another "
            "kind is something else, and these scores say nothing of it."
        )
    if any(scores["seen"] for scores in facts.scores):
        found.append(
            "Part of the sentences it was scored on are among those it was trained on (counted above), so part of the "
            "score is memory."
        )
    if not any(scores["split"] == "test" for scores in facts.scores):
        found.append("It was not tested yet: the scores above are of the sentences that chose the model.")
    if facts.types:
        found.append(
            f"It knows {', '.join(map(quoted, facts.types))} and no other type: other names it passes over or mistakes."
        )
    return "## Before you trust it\n\n" + "\n".join(f"- {text}" for text in found)


def is_silver(data: str, config: str) -> bool:
    """Whether this is PAN-X, whose labels were not made by people: by its config, or its name."""
    return bool(SILVER.match(config) or SILVER.search(data))


def license_text(facts: Facts) -> str:
    """The licence, as far as it is known."""
    known = facts.options.license
    statement = "It is not stated." if known == UNKNOWN_LICENSE else f"{code(known)}, as those say who trained it."
    others = "Those of the encoder and of the data hold as well: look them up before you use or share it."
    return f"## Licence\n\n{statement} {others}"


def all_options(facts: Facts) -> str:
    """The options of the training, folded away; those of data and encoder without the path to them."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(facts.options).items()}
    plain |= {which: facts.hub[which] or last_part(getattr(facts.options, which)) for which in ("model", "data")}
    kept = {key: value for key, value in plain.items() if key not in PRIVATE}
    text = yaml.safe_dump(kept, sort_keys=True, allow_unicode=True)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)  # longer than what stands in it
    return f"<details>\n<summary>All options</summary>\n\n{fence}yaml\n{text}{fence}\n\n</details>"
