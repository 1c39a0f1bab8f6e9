"""The command `ner api`: what it refuses to begin, and how it stops."""

import http.client
import json
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ner.cli import api as api_command
from ner.tagging import api
from ner.tagging.server import listen
from ner.tagging.tagger import Tagger
from ner.training.signals import SIGNALS
from tests.processes import SECONDS, forked, wait_until
from tests.taggers import write_tagger

pytestmark = pytest.mark.timeout(method="thread")  # signals are tested here
TEXT = "Anna Keller wohnt in Zürich"
# The command with a tagger that waits for a file before it answers, and says that it has begun.
PROGRAM = """
import sys, time
from pathlib import Path
from ner.cli.main import main
from ner.tagging.tagger import Tagger
call, gate = Tagger.__call__, Path(sys.argv.pop())
def gated(self, texts):
    gate.with_name("begun").touch()
    while not gate.exists():
        time.sleep(0.01)
    return call(self, texts)
Tagger.__call__ = gated
main()
"""
# The command with a GPU that fails, as far as torch tells.
FAILING = """
import torch
from ner.cli.main import main
from ner.tagging.tagger import Tagger
def fail(self, texts):
    raise torch.AcceleratorError("CUDA error: device-side assert triggered\\nCUDA kernel errors might be asynchronous")
Tagger.__call__ = fail
main()
"""


def refusal(capsys, *arguments) -> str:
    """What is said by a command that ends with status 2."""
    with pytest.raises(SystemExit) as caught:
        api_command.main(list(map(str, arguments)))
    assert caught.value.code == 2
    return capsys.readouterr().err.rstrip()


def test_options_that_make_no_sense(capsys):
    for arguments, message in (
        (["--port", 65536], "--port 65536 must be from 0 to 65535"),
        (["--host", ""], "--host is empty; 0.0.0.0 is every address of this machine, with a token"),
        (
            ["--timeout", "inf", "--max-bytes", 0],
            "--max-bytes 0 must be above 0\n--timeout inf must be above 0, and finite",
        ),
        (["--min-score", 2], "--min-score is 2; scores are between 0 and 1"),
        (["--max-waiting", 10], "--max-waiting 10 is less than --max-texts 1,000: such a request would never be taken"),
    ):
        assert refusal(capsys, "run", *arguments).endswith(message)


def test_no_address_that_others_reach_without_a_token(capsys):
    message = refusal(capsys, "run", "--host", "0.0.0.0", "--port", 0)
    assert "--host 0.0.0.0: other machines reach it, and there is no token; write one to a file" in message
    assert message.endswith("--token-file token")


def test_a_token_of_no_use(capsys, tmp_path, monkeypatch):
    file = tmp_path / "token"
    assert f"No such file or directory: '{file}'; write one" in refusal(capsys, "run", "--token-file", file)
    for content, message in (("short\n", "16 or more letters"), ("a b" * 9, "without blanks"), ("", "16 or more")):
        file.write_text(content, encoding="utf-8")
        said = refusal(capsys, "run", "--token-file", file, "--port", 0)
        assert str(file) in said
        assert message in said
        monkeypatch.setenv("NER_API_TOKEN", content)
        assert "NER_API_TOKEN: a token is 16 or more" in refusal(capsys, "run", "--port", 0)
    file.write_text("  sixteen-letters-and-more\n", encoding="utf-8")
    assert api_command.read_token(str(file)) == "sixteen-letters-and-more"  # of the file, whatever the environment has
    monkeypatch.setenv("NER_API_TOKEN", "another-token-of-the-environment")
    assert api_command.read_token(None) == "another-token-of-the-environment"


def test_an_address_or_a_model_that_is_not_there(capsys, tmp_path):
    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port}: Address already in use; name another one" in refusal(capsys, "run", "--port", port)
    assert "--host 192.0.2.1, --port 0: Cannot assign" in refusal(capsys, "run", "--host", "192.0.2.1", "--port", 0)
    before = [signal.getsignal(number) for number in SIGNALS]
    assert "neither a run of train.py" in refusal(capsys, tmp_path, "--port", 0)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_fastapi_is_asked_for_where_it_is_missing(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert refusal(capsys, "run").endswith("pip install 'crosslingual-ner[serve]'")


# The program


@pytest.fixture(scope="module")
def run(thin_encoder, tmp_path_factory):
    pytest.importorskip("fastapi", reason=api.MISSING)
    return str(write_tagger(tmp_path_factory.mktemp("api") / "model", thin_encoder))


def ask(port, path="/tag", text=None, headers=None):
    """Status and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    body = None if text is None else json.dumps({"text": text}).encode()
    connection.request("GET" if body is None else "POST", path, body, headers or {})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def port_of(process) -> int:
    """Where it serves, once it is ready."""
    pattern = re.compile(r"^http://127\.0\.0\.1:(\d+)/  Ctrl-C ends it\.$", re.MULTILINE)
    wait_until(lambda: pattern.search(process.output), process)
    return int(pattern.findall(process.output)[0])


def test_a_signal_ends_it_when_what_was_accepted_is_answered(run, tmp_path):
    gate = tmp_path / "gate"
    token = "a-token-of-the-environment"
    headers = {"Authorization": f"Bearer {token}"}
    with (
        forked(PROGRAM, "api", run, "--port", 0, "--timeout", SECONDS, gate, env={"NER_API_TOKEN": token}) as process,
        ThreadPoolExecutor(2) as pool,
    ):
        port = port_of(process)
        assert ask(port, "/ready") == (200, {"status": "ready"})
        assert ask(port, text=TEXT)[0] == 401
        first = pool.submit(ask, port, text=TEXT, headers=headers)
        wait_until((tmp_path / "begun").exists, process)
        process.process.terminate()
        wait_until(lambda: ask(port, "/ready") == (503, {"status": "stopping"}), process)
        assert ask(port, text="Bern", headers=headers) == (503, {"error": "the service is stopping"})
        gate.touch()
        status, content = first.result(timeout=SECONDS)
        assert status == 200
        assert content["entities"] == [entity.fields() for entity in Tagger.from_pretrained(run)(TEXT)]
        assert process.wait(SECONDS) == 0
        assert "stopped by SIGTERM; what was accepted is answered" in process.output
        assert "Traceback" not in process.output


def test_a_second_signal_ends_it_at_once(run, tmp_path):
    with forked(PROGRAM, "api", run, "--port", 0, tmp_path / "gate") as process, ThreadPoolExecutor(1) as pool:
        port = port_of(process)
        first = pool.submit(ask, port, text=TEXT)
        wait_until((tmp_path / "begun").exists, process)
        process.process.terminate()
        wait_until(lambda: "stopped by SIGTERM" in process.output, process)
        process.process.terminate()
        assert process.wait(SECONDS) == -signal.SIGTERM
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            first.result(timeout=SECONDS)


def test_it_ends_when_the_accelerator_fails_for_good(run):
    """A CUDA error spoils all that the process computes after it: who watches it has to start it again."""
    with forked(FAILING, "api", run, "--port", 0) as process:
        assert ask(port_of(process), text=TEXT) == (500, {"error": "the service failed: AcceleratorError"})
        assert process.wait(SECONDS) == 1
        said = f"ner api: {run}: AcceleratorError: CUDA error: device-side assert triggered CUDA kernel errors might"
        assert said in process.output


def test_a_signal_while_the_model_is_loaded(capsys, monkeypatch):
    """In this process: nothing was accepted, and so it ends well."""

    def load(*_, **__):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it was not interrupted")

    monkeypatch.setattr(Tagger, "from_pretrained", load)
    before = [signal.getsignal(number) for number in SIGNALS]
    api_command.main(["run", "--port", "0"])
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert capsys.readouterr().out == ""
