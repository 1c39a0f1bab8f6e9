"""The page for people answers itself: no uploads, no files, no page of another site, no frame around it."""

import pytest

from ner.tagging import app

pytest.importorskip("gradio", reason=app.MISSING)

ADDRESS = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def client(encoder_folder, tmp_path_factory):
    from starlette.testclient import TestClient

    from ner.tagging.tagger import Tagger
    from tests.taggers import write_tagger

    folder = write_tagger(tmp_path_factory.mktemp("tagger"), encoder_folder)
    page = app.build_page({"run": Tagger.from_pretrained(folder, precision="no")})
    with TestClient(app.make_app(page, "127.0.0.1", 7860), base_url=ADDRESS) as client:
        yield client


def test_the_page_is_in_no_frame(client):
    for path, status in (("/", 200), ("/config", 200), ("/gradio_api/upload", 404)):
        answer = client.get(path)
        assert answer.status_code == status
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"


def test_nothing_is_uploaded(client, tmp_path, monkeypatch):
    before = client.post("/gradio_api/upload", files={"files": ("a.txt", b"content")})
    assert before.status_code == 404
    assert "content" not in before.text


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/hostname",
        "/gradio_api/file/etc/hostname",
        "/file=/etc/hostname",
        "/gradio_api/proxy=https://example.org",
        "/gradio_api/upload_progress?upload_id=1",
        "/docs",
        "/monitoring",
        "/gradio_api/openapi.json",
        "/gradio_api/vibe-code/",
        "/gradio_api/mcp/",
        "/login",
        "/../etc/hostname",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/run/show",
        "/gradio_api/call/show",
    ],
)
def test_what_the_page_does_not_need_is_not_there(client, path):
    assert [client.get(path).status_code, client.post(path, json={}).status_code] == [404, 404]


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.org",
        "null",
        "http://127.0.0.1:7861",
        "https://127.0.0.1:7860",
        "http://127.0.0.1:7860.example.org",
    ],
)
def test_pages_of_another_site_get_nothing(client, origin):
    queue = "/gradio_api/queue"
    asked = {"/": "GET", "/config": "GET", f"{queue}/join": "POST", f"{queue}/data?session_hash=a": "GET"}
    for path, method in [*asked.items(), (f"{queue}/join", "OPTIONS")]:
        answer = client.request(method, path, headers={"Origin": origin})
        assert answer.status_code == 403, path
        assert "access-control-allow-origin" not in answer.headers


def test_no_other_site_asks_without_an_origin(client):
    """As an image or a script of another page would; a link to the page is one that a person follows."""
    for site, statuses in {"cross-site": (200, 403), "same-site": (200, 403), "same-origin": (200, 200)}.items():
        answers = [client.get(path, headers={"Sec-Fetch-Site": site}).status_code for path in ("/", "/config")]
        assert tuple(answers) == statuses


def test_a_web_socket_is_refused(client):
    from starlette.testclient import WebSocketDenialResponse

    for origin in ("http://example.org", ADDRESS):
        wanted = client.websocket_connect("/gradio_api/queue/join", headers={"Origin": origin})
        with pytest.raises(WebSocketDenialResponse) as refused, wanted:
            pass
        assert refused.value.status_code == 403


def test_the_page_itself_is_answered(client):
    """A text is tagged the way the browser asks for it."""
    config = client.get("/config", headers={"Origin": ADDRESS}).json()
    (shown,) = [one for one in config["dependencies"] if one["targets"] and len(one["inputs"]) == 3]
    data = {"data": ["Anna Keller", "run", ""], "fn_index": shown["id"], "session_hash": "abc", "event_data": None}
    joined = client.post("/gradio_api/queue/join", json=data, headers={"Origin": ADDRESS})
    assert joined.status_code == 200, joined.text
    with client.stream("GET", "/gradio_api/queue/data?session_hash=abc", headers={"Origin": ADDRESS}) as events:
        stream = "".join(events.iter_text())
    assert "process_completed" in stream
    assert "<mark" in stream or "Anna Keller" in stream
