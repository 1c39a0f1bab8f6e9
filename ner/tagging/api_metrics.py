"""What the HTTP service counts, in the text format of Prometheus (version 0.0.4)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Upper bounds in seconds; the last one is infinite.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, float("inf"))


@dataclass
class Metrics:
    """Counts since the start. Only the server's thread changes them."""

    requests: Counter[int] = field(default_factory=Counter)  # POST /tag, by status
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    seconds: float = 0.0
    texts: int = 0  # that were answered

    def count(self, status: int, seconds: float) -> None:
        """A request that has its answer. seconds: since its headers were read."""
        self.requests[status] += 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds

    def exposition(self, *, waiting: int, calls: int, is_ready: bool) -> str:
        """All numbers, with what stands at the moment: texts that wait, calls of the tagger, whether work is taken."""
        return "".join(f"{line}\n" for line in self.lines(waiting, calls, is_ready))

    def lines(self, waiting: int, calls: int, is_ready: bool) -> Iterator[str]:
        """Lines of the format."""
        yield from about("ner_requests_total", "counter", "Requests to tag, by status; 499: the client went away.")
        yield from (f'ner_requests_total{{status="{status}"}} {n}' for status, n in sorted(self.requests.items()))
        yield from about("ner_request_seconds", "histogram", "Seconds from the headers of a request to its answer.")
        total = 0
        for bound, number in zip(BUCKETS, self.buckets, strict=True):
            total += number
            yield f'ner_request_seconds_bucket{{le="{"+Inf" if bound == BUCKETS[-1] else bound}"}} {total}'
        yield f"ner_request_seconds_sum {self.seconds:.6f}"
        yield f"ner_request_seconds_count {total}"
        for name, kind, text, value in (
            ("ner_texts_total", "counter", "Texts that were answered.", self.texts),
            ("ner_tagger_calls_total", "counter", "Calls of the tagger, each with the texts of some requests.", calls),
            ("ner_waiting_texts", "gauge", "Texts that wait for the tagger.", waiting),
            ("ner_ready", "gauge", "1 while work is taken.", int(is_ready)),
        ):
            yield from about(name, kind, text)
            yield f"{name} {value}"


def about(name: str, kind: str, text: str) -> Iterator[str]:
    """The two lines above a metric."""
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
