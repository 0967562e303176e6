"""Asking a server: one on this machine that misbehaves in every way that servers do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dsvl_data.outcome import UserError
from taxonomy.classify import Conversation
from taxonomy.endpoint import EndpointClassifier, EndpointSettings
from taxonomy.tree import Taxonomy

#: What a stub answers: a status, a body (text or JSON), headers.
Reply = tuple[int, Any, dict[str, str]]


class Stub:
    """A server that answers as `script` says, request by request; then sensibly."""

    def __init__(self) -> None:
        self.script: list[Callable[[dict[str, Any]], Reply] | Reply] = []
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()
        self.hang = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub.lock:
                    stub.asked.append(body)
                    stub.keys.append(self.headers.get("Authorization"))
                    step = stub.script.pop(0) if stub.script else sensible
                if step == HANG:
                    stub.hang.wait(10)
                    return
                status, said, headers = step(body) if callable(step) else step
                content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


HANG: Reply = (0, "", {})


def answer(content: str, tokens: int | None = 10) -> Reply:
    said: dict[str, Any] = {"choices": [{"message": {"content": content}}]}
    if tokens is not None:
        said["usage"] = {"total_tokens": tokens}
    return 200, said, {}


def sensible(body: dict[str, Any]) -> Reply:
    """Know `how many` from the rest."""
    lines = re.findall(r"^(\d+)\. images.*turns: (.*)$", body["messages"][1]["content"], re.M)
    return answer(
        json.dumps(
            {
                number: {"id": "count" if "many" in turns else "read", "confidence": 0.9}
                for number, turns in lines
            }
        )
    )


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.hang.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def make(
    stub: Stub, small: Taxonomy, tmp_path: Path
) -> Callable[..., tuple[EndpointClassifier, list[float]]]:
    def made(**changes: Any) -> tuple[EndpointClassifier, list[float]]:
        waits: list[float] = []
        settings = EndpointSettings(stub.url, "m", batch=4, concurrency=1, timeout=5)
        return (
            EndpointClassifier(
                small, replace(settings, **changes), tmp_path / "cache", sleep=waits.append
            ),
            waits,
        )

    return made


def talks(*questions: str) -> list[Conversation]:
    return [Conversation((question,), 1) for question in questions]


FOUR = talks("how many cats", "read it", "how many dogs", "read that")
RIGHT = ["see/count", "see/read", "see/count", "see/read"]


def paths(classifier: EndpointClassifier, of: list[Conversation] = FOUR) -> list[str | None]:
    return [label.path for label in classifier.classify(of)]


def test_a_batch_is_one_request_with_the_definitions(make: Any, stub: Stub) -> None:
    classifier, _ = make(api_key="secret")
    assert paths(classifier) == RIGHT
    (body,) = stub.asked
    assert stub.keys == ["Bearer secret"]
    assert "count: count" in body["messages"][0]["content"]
    assert "how many cats" in body["messages"][1]["content"]
    assert classifier.spent.tokens == 10
    assert "secret" not in repr(classifier.settings)


def test_many_batches_at_once_keep_their_order(make: Any, stub: Stub) -> None:
    classifier, _ = make(concurrency=6, batch=3)
    said = talks(*(f"how many {i}" if i % 3 else f"read {i}" for i in range(60)))
    expected = ["see/count" if i % 3 else "see/read" for i in range(60)]
    assert paths(classifier, said) == expected
    assert len(stub.asked) == 20


def test_a_busy_server_is_asked_again_ever_later(make: Any, stub: Stub) -> None:
    stub.script = [(503, "", {}), (500, "oops", {}), (429, "", {"Retry-After": "7"})]
    classifier, waits = make()
    assert paths(classifier) == RIGHT
    assert classifier.spent.retries == 3
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2
    assert waits[2] == 7


def test_a_server_that_hangs_is_given_up_and_asked_again(make: Any, stub: Stub) -> None:
    stub.script = [HANG]
    classifier, waits = make(timeout=0.3)
    assert paths(classifier) == RIGHT
    assert len(waits) == 1


def test_what_never_answers_stays_unlabelled(make: Any, stub: Stub) -> None:
    stub.script = [(503, "", {})] * 3
    classifier, _ = make(attempts=3)
    labels = classifier.classify(FOUR)
    assert [(label.path, label.reason) for label in labels] == [(None, "request")] * 4
    assert classifier.spent.failed == 1
    # Nothing of it is kept: the next call gets them.
    assert paths(make()[0]) == RIGHT


@pytest.mark.parametrize(
    "content",
    [
        "I cannot do that.",
        '{"1": {"id": "count"',
        "[1, 2]",
        "",
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_an_answer_that_is_no_json_is_asked_for_one_by_one(
    make: Any, stub: Stub, content: str
) -> None:
    stub.script = [answer(content)]
    classifier, _ = make()
    assert paths(classifier) == RIGHT
    assert classifier.spent.malformed == 1
    assert len(stub.asked) == 5


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"choices": []}', '{"choices": 3}'])
def test_a_reply_of_another_form_counts_as_malformed(make: Any, stub: Stub, body: str) -> None:
    stub.script = [(200, body, {})]
    classifier, _ = make()
    assert paths(classifier) == RIGHT
    assert classifier.spent.malformed == 1


def test_an_unknown_label_is_asked_for_again_and_then_left(make: Any, stub: Stub) -> None:
    strange = answer('{"1": {"id": "astrology", "confidence": 1}, "2": "read", "3": 7}')
    stub.script = [strange, answer('{"1": {"id": "astrology"}}')]
    classifier, _ = make()
    labels = classifier.classify(FOUR)
    assert [label.path for label in labels] == [None, "see/read", "see/count", "see/read"]
    assert labels[0].reason == "unknown label"
    assert classifier.spent.unknown_labels == 4


def test_prose_and_fences_around_the_object_do_no_harm(make: Any, stub: Stub) -> None:
    stub.script = [answer('Sure!\n```json\n{"1": {"id": "see/count", "confidence": 2}}\n```')]
    classifier, _ = make()
    (label,) = classifier.classify(talks("how many"))
    assert (label.path, label.confidence) == ("see/count", 1.0)


def test_the_unsure_and_the_misfits_stay_unlabelled(make: Any, stub: Stub) -> None:
    stub.script = [answer('{"1": {"id": "count", "confidence": 0.2}, "2": {"id": "none"}}')]
    classifier, _ = make()
    first, second = classifier.classify(FOUR[:2])
    assert (first.path, first.reason, first.confidence) == (None, "unsure", 0.2)
    assert (second.path, second.reason) == (None, "no category fits")


def test_answers_are_kept_by_content(make: Any, stub: Stub, tmp_path: Path) -> None:
    assert paths(make()[0]) == RIGHT
    again, _ = make()
    assert paths(again, [*FOUR, *FOUR[:1]]) == [*RIGHT, RIGHT[0]]
    assert len(stub.asked) == 1
    assert again.spent.cached == 5
    # A torn line costs that answer alone.
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text(file.read_text()[:-9])
    assert paths(make()[0]) == RIGHT
    assert len(stub.asked) == 2
    assert paths(make()[0]) == RIGHT
    assert len(stub.asked) == 2


def test_the_budget_in_requests_ends_the_asking(make: Any, stub: Stub) -> None:
    classifier, _ = make(max_requests=1, batch=2)
    labels = classifier.classify(FOUR)
    assert [label.path for label in labels] == [*RIGHT[:2], None, None]
    assert labels[2].reason == "budget"
    assert (len(stub.asked), classifier.spent.out_of_budget) == (1, 2)


def test_the_budget_in_tokens_counts_what_the_server_says(make: Any, stub: Stub) -> None:
    stub.script = [answer('{"1": "count"}', tokens=100_000)]
    classifier, _ = make(max_tokens=50_000, batch=1)
    assert [label.reason for label in classifier.classify(FOUR)] == [None] + ["budget"] * 3


@pytest.mark.parametrize("status", [301, 400, 401, 404])
def test_what_no_second_try_mends_is_an_error(make: Any, stub: Stub, status: int) -> None:
    stub.script = [(status, "wrong key", {"Location": stub.url})]
    with pytest.raises(UserError, match=f"answers {status}.*wrong key"):
        make()[0].classify(FOUR)
    assert len(stub.asked) == 1


def test_an_endless_answer_is_refused(make: Any, stub: Stub) -> None:
    stub.script = [(200, "x" * (1 << 21), {})]
    classifier, waits = make()
    assert paths(classifier) == RIGHT
    assert len(waits) == 1


def test_an_address_must_be_one_of_the_web(make: Any) -> None:
    with pytest.raises(UserError, match="must begin with http"):
        make(url="file:///etc/passwd")
