"""A local page: type text, see its entities at once, compare two runs. With gradio, where it is installed.

The page is for this machine alone: it is served on the loopback address, to itself and to no page of another site, the
browser is told to load nothing from anywhere else, and gradio's telemetry is off. What gradio can do and the page does
not need (uploads, files, other people's servers) is shut. The models are loaded before it opens.
"""

import contextlib
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ner.errors import InputError
from ner.tagging.examples import EXAMPLES, MIXED
from ner.tagging.rendering import hues, probability_bars, result
from ner.tagging.server import HOST, address_of, running
from ner.tagging.tagger import Tagger

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MISSING = "gradio is not installed; pip install gradio, or the extra: pip install 'crosslingual-ner[serve]'"
# gradio's page runs inline scripts and compiles templates; what matters is that all of it is its own.
POLICY = (
    b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'self'; base-uri 'self'; "
    b"frame-ancestors 'none'"
)
HEADERS = [(b"content-security-policy", POLICY), (b"x-frame-options", b"DENY"), (b"x-content-type-options", b"nosniff")]
# All that the page asks for; whatever else gradio offers, now or in a later version, is not there.
NEEDED = re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|pwa_icon(/\d+)?)/?|/(assets|static|svelte)/.*"
    r"|/gradio_api/(queue/(join|data)|run/predict|heartbeat/\w+|startup-events|theme\.css|info|app_id|login_check|reset|cancel)/?"
)
TITLE = "Named entities"
LEAD = (
    "Type or paste text. It is tagged as you type, on this machine, and sent nowhere. Point at a word, or click it, "
    "for the probabilities of its tags."
)


def build_page(taggers: Mapping[str, Tagger]) -> "Blocks":
    """The page with these taggers to choose from, by name; bars of those that keep `probabilities`."""
    import gradio as gr

    hue = hues(name for tagger in taggers.values() for name in tagger.tags.types)

    def show(text: str, run: str, other: str) -> str:
        chosen = {name: taggers[name] for name in (run, other) if name}
        types = {name for tagger in chosen.values() for name in tagger.tags.types}
        try:
            tagged = {name: next(tagger.tag([text])) for name, tagger in chosen.items()}
        except (InputError, UnicodeEncodeError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        found = {name: each.entities for name, each in tagged.items()}
        return result(text, found, hue, types, {name: probability_bars(each) for name, each in tagged.items()})

    names = list(taggers)
    texts = {example.title: example.text for example in (*EXAMPLES.values(), MIXED)}
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        gr.HTML(f"<h1>{TITLE}</h1><p>{LEAD}</p>", elem_id="lead", apply_default_css=False)
        text = gr.Textbox(next(iter(texts.values())), lines=4, max_lines=16, label="Text", elem_id="text")
        gr.Examples([[example] for example in texts.values()], text, example_labels=list(texts), elem_id="examples")
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


def make_app(page: "Blocks", host: str, port: int) -> "FastAPI":
    """The page as a web application: for itself, and for nobody else."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    # Not the page's launch(), which calls its own server through whatever proxy the environment names.
    app = FastAPI(openapi_url=None)
    # Else a page of another site, under a name that leads here, could read this one.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(ItselfAlone)
    system = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
    css = (files("ner.tagging") / "assets" / "app.css").read_text(encoding="utf-8")
    gr.mount_gradio_app(
        app,
        page,
        "/",
        host,
        port,
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        mcp_server=False,
        theme=system,
        css=css,
    )
    return app


@contextlib.contextmanager
def serving(page: "Blocks", listener: socket.socket) -> Iterator[str]:
    """Serves the page while the block runs; gives its address."""
    app = make_app(page, *listener.getsockname())
    with running(app, listener, timeout_graceful_shutdown=1):
        yield address_of(listener)


@dataclass(frozen=True)
class ItselfAlone:
    """Answers the page, and no page of another site; tells the browser to load from here only, and into no frame."""

    app: "ASGIApp"

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        from starlette.datastructures import Headers
        from starlette.responses import PlainTextResponse

        async def send_with_policy(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        app = self.app
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            page_origin = f"http://{headers.get('host')}"  # this machine: TrustedHostMiddleware has checked it
            # A link to the page may stand anywhere; what the page asks for, it asks for itself.
            elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["path"] != "/"
            if scope["type"] == "websocket" or headers.get("origin", page_origin) != page_origin or elsewhere:
                app = PlainTextResponse("This page answers to itself alone.", 403)
            elif not NEEDED.fullmatch(scope["path"]):
                app = PlainTextResponse("There is no such thing here.", 404)
        await app(scope, receive, send_with_policy)
