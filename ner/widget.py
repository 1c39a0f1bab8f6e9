"""A local page: type text, see its entities at once, compare two runs. With gradio, where it is installed.

    python -m ner.widget runs/all runs/de

The page is for this machine alone: it is served on the loopback address, the browser is told to load nothing from
anywhere else, and gradio's telemetry is off. The models are loaded before it opens.
"""

import contextlib
import importlib.util
import socket
import threading
import webbrowser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, NamedTuple

from ner.config import named_twice
from ner.options import bad_input_ends_here, option, parse
from ner.tagger import Entity, Tagger

if TYPE_CHECKING:
    from gradio import Blocks
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MISSING = "gradio is not installed; pip install gradio, or the extra: pip install -e '.[widget]'"
HOST = "127.0.0.1"
# gradio's page runs inline scripts and compiles templates; what matters is that all of it is its own.
POLICY = b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'self'; base-uri 'self'"
COMMON_TYPES = ("PER", "ORG", "LOC", "MISC")
GOLDEN_ANGLE = 137.508  # degrees: however many hues are made with it, neighbours in the list are far apart
TITLE = "Named entities"
LEAD = "Type or paste text. It is tagged as you type, on this machine, and sent nowhere."
EXAMPLES = {
    "Deutsch": "Anna Keller leitet seit März das Universitätsspital Zürich. Zuvor war die gebürtige Luzernerin bei "
    "Novartis in Basel und bei der Weltgesundheitsorganisation in Genf.",
    "Français": "Élodie Rochat, professeure à l'École polytechnique fédérale de Lausanne, a présenté jeudi à Neuchâtel "
    "une étude financée par Nestlé et par le canton de Vaud.",
    "Italiano": "Marco Bernasconi, sindaco di Locarno, ha accolto a Bellinzona i delegati della Banca nazionale "
    "svizzera e delle Ferrovie federali svizzere.",
    "English": "Swiss International Air Lines flies from Zurich to Toronto again, said Nina Hofmann at Kloten. "
    "FC Basel is on the first plane and plays against Toronto FC.",
    "gemischt · mixte · misto": "Das Treffen in Biel eröffnete Thomas Wyss von der Schweizerischen Post. « Nous "
    "cherchons cent personnes à Fribourg », a déclaré Claire Favre, de Swisscom. Per il Ticino ha parlato Lucia "
    "Ferrari, della Radiotelevisione svizzera a Lugano. The last word was Peter Brown's, of Roche in London.",
}


@dataclass(frozen=True)
class WidgetOptions:
    """page"""

    runs: tuple[str, ...] = option(
        (), "run folders of train.py, model folders, or Hub names of token classifiers", metavar="RUN",
        positional=True,
    )  # fmt: skip
    checkpoint: Literal["best", "last"] = option("best", "which model of a run folder")
    words: Literal["edges", "punctuation", "spaces"] = option(
        "edges", "what text is split at: white space and the marks at its edges, every mark, or blanks alone"
    )
    score: Literal["mean", "min"] = option("mean", "of an entity, from the probabilities of its words")
    port: int = option(0, "of 127.0.0.1; 0: one that is free", metavar="N")
    no_browser: bool = option(False, "open no browser; the page's address is printed")


@dataclass(frozen=True)
class WidgetConfig(WidgetOptions):
    """Everything that decides what `python -m ner.widget` shows."""

    def __post_init__(self) -> None:
        problems = named_twice(self, "runs")
        if not 0 <= self.port <= 65535:
            problems.append(f"--port {self.port} must be from 0 to 65535")
        if importlib.util.find_spec("gradio") is None:
            problems.append(MISSING)
        if problems:
            raise ValueError("\n".join(problems))


# What two runs say of a text


class Difference(NamedTuple):
    """Entities of two runs that overlap without being the same, or one that stands alone; None where there is none."""

    one: Entity | None
    two: Entity | None

    @property
    def start(self) -> int:
        return min(entity.start for entity in self if entity)

    def kind(self, names: Sequence[str]) -> str:
        """What is different, in words. names: of the two runs."""
        if self.one is None or self.two is None:
            return f"only {names[self.one is None]}"
        if place(self.one)[1:] == place(self.two)[1:]:
            return "other type"
        return "other boundary" if self.one.type == self.two.type else "other type and boundary"


def place(entity: Entity) -> tuple[str, int, int]:
    """What makes two entities the same: type, start and end."""
    return entity.type, entity.start, entity.end


def differences(one: Sequence[Entity], two: Sequence[Entity]) -> list[Difference]:
    """Where two lists of entities of one text differ, in its order.

    Entities that overlap are paired, each once, one of the same type before another.
    """
    ours, theirs = ({place(entity) for entity in entities} for entities in (one, two))
    rest = [entity for entity in two if place(entity) not in ours]
    found = []
    for entity in one:
        if place(entity) not in theirs:
            near = [other for other in rest if other.start < entity.end and entity.start < other.end]
            partner = max(near, key=lambda other: other.type == entity.type, default=None)
            if partner:
                rest.remove(partner)
            found.append(Difference(entity, partner))
    return sorted([*found, *(Difference(None, entity) for entity in rest)], key=lambda difference: difference.start)


# HTML


def hues(types: Iterable[str]) -> dict[str, float]:
    """A hue of each type, in degrees; those of COMMON_TYPES are the same whatever the others are."""
    order = [*COMMON_TYPES, *sorted(set(types) - set(COMMON_TYPES))]
    return {name: (255 + i * GOLDEN_ANGLE) % 360 for i, name in enumerate(order)}


def marked(
    text: str, entities: Sequence[Entity], hue: Mapping[str, float], differing: Iterable[Entity | None] = ()
) -> str:
    """The text as HTML with its entities in <mark>, type and score in small print behind each.

    differing: entities to mark as not those of another run.
    """
    special = set(differing)
    parts, done = [], 0
    for entity in entities:
        differs = ' class="differs"' if entity in special else ""
        title = escape(f"{entity.type}, {entity.score:.3f}, characters {entity.start} to {entity.end}")
        small = f"<small>{escape(entity.type)} {entity.score:.2f}</small>"
        parts += [
            escape(text[done : entity.start]),
            f'<mark{differs} style="--hue: {hue[entity.type]:.0f}" title="{title}">{escape(entity.text)}{small}</mark>',
        ]
        done = entity.end
    return "".join([*parts, escape(text[done:])])


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Rows of HTML as a table."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def entity_table(entities: Sequence[Entity], hue: Mapping[str, float], name: str) -> str:
    """Type, text, start, end and score of each entity that the run of that name finds."""
    rows = [
        (tag(e.type, hue), f"<bdi>{escape(e.text)}</bdi>", f"{e.start}", f"{e.end}", f"{e.score:.3f}") for e in entities
    ]
    return table(["type", "text", "start", "end", "score"], rows, f"{escape(name)}: {len(entities)}")


def tag(type_: str, hue: Mapping[str, float]) -> str:
    """The name of a type in its colour."""
    return f'<span class="type" style="--hue: {hue[type_]:.0f}">{escape(type_)}</span>'


def difference_table(found: Sequence[Difference], names: Sequence[str], hue: Mapping[str, float]) -> str:
    """What each of two runs says where they differ."""

    def cell(entity: Entity | None) -> str:
        return f"{tag(entity.type, hue)} <bdi>{escape(entity.text)}</bdi>" if entity else "–"  # noqa: RUF001

    if not found:
        return '<p class="same">Both runs find the same entities.</p>'
    rows = [(cell(one), cell(two), escape(Difference(one, two).kind(names))) for one, two in found]
    return table([*map(escape, names), "difference"], rows, f"Differences: {len(found)}")


def result(text: str, found: Mapping[str, Sequence[Entity]], hue: Mapping[str, float], types: Iterable[str]) -> str:
    """What one run, or two, find in a text. types: for the legend."""
    legend = "".join(tag(name, hue) for name in sorted(types, key=list(hue).index))
    two = len(found) == 2
    note = "with the probability; dashed where the runs differ" if two else "with the probability"
    differing = differences(*found.values()) if two else []
    sides = [
        f'<section><h2>{escape(name)}</h2><div class="text" dir="auto">'
        f"{marked(text, entities, hue, [pair[i] for pair in differing])}</div></section>"
        for i, (name, entities) in enumerate(found.items())
    ]
    tables = [f"<section>{entity_table(entities, hue, name)}</section>" for name, entities in found.items()]
    return "".join(
        [
            f'<div class="legend">{legend}<span class="note">{note}</span></div>',
            f'<div class="sides">{"".join(sides)}</div>',
            f'<div class="differences">{difference_table(differing, list(found), hue)}</div>' if two else "",
            f'<div class="sides">{"".join(tables)}</div>',
        ]
    )


# The page


def build_page(taggers: Mapping[str, Tagger]) -> "Blocks":
    """The page with these taggers to choose from, by name."""
    import gradio as gr

    hue = hues(name for tagger in taggers.values() for name in tagger.tags.types)

    def show(text: str, run: str, other: str) -> str:
        chosen = {name: taggers[name] for name in (run, other) if name}
        types = {name for tagger in chosen.values() for name in tagger.tags.types}
        return result(text, {name: tagger(text) for name, tagger in chosen.items()}, hue, types)

    names = list(taggers)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(f"<h1>{TITLE}</h1><p>{LEAD}</p>", elem_id="lead", apply_default_css=False)
        text = gr.Textbox(next(iter(EXAMPLES.values())), lines=4, max_lines=16, label="Text", elem_id="text")
        examples = [[example] for example in EXAMPLES.values()]
        gr.Examples(examples, text, example_labels=list(EXAMPLES), elem_id="examples")
        with gr.Row(visible=len(names) > 1):
            run = gr.Dropdown(names, value=names[0], label="Run", filterable=False, elem_id="run")
            others = [("no other run", ""), *((name, name) for name in names)]
            other = gr.Dropdown(others, value="", label="Compare with", filterable=False, elem_id="other")
        gr.on(
            [page.load, text.change, run.change, other.change],
            show,
            [text, run, other],
            gr.HTML(elem_id="result", apply_default_css=False),
            trigger_mode="always_last",  # of the changes while a text is being tagged, the last one is tagged next
            show_progress="hidden",
            api_visibility="private",
        )
    return page


@contextlib.contextmanager
def serving(page: "Blocks", port: int = 0) -> Iterator[str]:
    """Serves the page on the loopback address while the block runs; gives its address. port: 0 for a free one.

    Raises ValueError for a port that is taken or not allowed.
    """
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Not gr.launch, which asks for its own page through the proxies of the environment.
    app = FastAPI(openapi_url=None)
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]
    )  # no other site's script under its name
    app.add_middleware(OwnContentAlone)
    system = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
    css = (files("ner") / "page" / "widget.css").read_text(encoding="utf-8")
    gr.mount_gradio_app(
        app, page, "/", HOST, port, footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
        theme=system, css=css,
    )  # fmt: skip
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ValueError(f"--port {port}: {error.strerror}; name another one, or 0 for one that is free") from error
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()


@dataclass(frozen=True)
class OwnContentAlone:
    """Tells the browser, with every answer, to load from this server only."""

    app: "ASGIApp"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def send_with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY)]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of this module."""
    with bad_input_ends_here():
        config = parse(WidgetConfig, arguments, str(__doc__))
        taggers = {
            name: Tagger.from_pretrained(name, checkpoint=config.checkpoint, words=config.words, score=config.score)
            for name in config.runs
        }
    with bad_input_ends_here(), serving(build_page(taggers), config.port) as address:
        print(f"{address}  Ctrl-C ends it.", flush=True)
        if not config.no_browser:
            webbrowser.open(address)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
