"""A judge behind an endpoint that misbehaves, and people before a real browser; one report."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from dsvl_data.outcome import UserError
from dsvl_data.render.browser import find_browser
from taxonomy.endpoint_client import Endpoint, EndpointClient, Failure
from taxonomy.judge import compare, parse, settle
from taxonomy.questions import load_answers, load_questions
from taxonomy.sheet import key_path, read_scores, write_sheet
from taxonomy.verdicts import wilson
from tests.taxonomy.corpora import picture

#: Given the number of the request and its body: status, headers, body.
Reply = Callable[[int, dict[str, Any]], tuple[int, dict[str, str], bytes]]


def completion(text: str) -> bytes:
    said = {"choices": [{"message": {"content": text}}], "usage": {"total_tokens": 7}}
    return json.dumps(said).encode()


class Server:
    """An endpoint that answers as a test says, and notes what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[dict[str, Any]] = []
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.asked.append(body)
                    number = len(server.asked)
                status, headers, data = reply(number, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], Server]]:
    servers: list[Server] = []

    def start(reply: Reply) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def questions_file(tmp_path: Path) -> Path:
    (tmp_path / "eval-set").mkdir()
    lines = []
    for number in range(6):
        (tmp_path / f"eval-set/{number}.png").write_bytes(picture(number))
        lines.append(
            {
                "id": f"q{number}",
                "category": ["recognition", "safety"][number % 2],
                "question": f"Question {number}? </script><script>document.title = 'broken'",
                "images": [f"eval-set/{number}.png"],
            }
        )
    path = tmp_path / "eval-set.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def answers(path: Path, name: str, texts: dict[str, str]) -> str:
    file = path.parent / f"{name}.jsonl"
    file.write_text("".join(json.dumps({"id": k, "answer": v}) + "\n" for k, v in texts.items()))
    return f"{name}={file}"


def both(path: Path) -> tuple[Any, dict[str, dict[str, str]]]:
    asked = load_questions(path)
    ours = answers(path, "ours", {f"q{n}": f"good {n}" for n in range(6)})
    theirs = answers(path, "theirs", {f"q{n}": f"bad {n}" for n in range(6)})
    models, missing = load_answers([ours, theirs], asked)
    assert not missing
    return asked, models


def said_to(body: dict[str, Any]) -> dict[str, str]:
    said: dict[str, str] = json.loads(body["messages"][1]["content"][-1]["text"])
    return said


def test_both_orders_are_asked_and_a_swayed_judge_makes_a_tie(
    serve: Callable[[Reply], Server], questions_file: Path
) -> None:
    def reply(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        said = said_to(body)
        if "Question 0" in said["question"]:  # always the first
            return 200, {}, completion('{"winner": "1"}')
        if "Question 1" in said["question"]:
            return 200, {}, completion('Sure:\n```json\n{"reason": "{}", "winner": "tie"}\n```')
        good = "1" if said["answer 1"].startswith("good") else "2"
        bad = {"1": "2", "2": "1"}[good]
        chosen = bad if "Question 2" in said["question"] else good
        return 200, {}, completion(json.dumps({"reason": "", "winner": f"Answer {chosen}"}))

    server = serve(reply)
    asked, models = both(questions_file)
    found, records = compare(asked, *models.items(), Endpoint(server.url, "judge"))
    assert len(server.asked) == 12
    pair = found.to_json()["pairs"][0]
    whole = pair["categories"]["all"]
    assert (whole["win"], whole["tie"], whole["loss"], whole["swayed"]) == (3, 2, 1, 1)
    assert pair["categories"]["safety"]["win"] == 2
    position = found.to_json()["position"]
    assert (position["first"], position["second"], position["ties"]) == (6, 4, 2)
    assert [record["outcome"] for record in records] == ["tie", "tie", "loss", "win", "win", "win"]
    image = server.asked[0]["messages"][1]["content"][0]["image_url"]["url"]
    assert image.startswith("data:image/png;base64,")


def test_a_server_that_misbehaves_is_asked_again_and_told_of(
    serve: Callable[[Reply], Server], tmp_path: Path
) -> None:
    faults = iter(
        [
            (429, {"Retry-After": "0"}, b"slow down"),
            (500, {}, b"oops"),
            (200, {}, b"<html>not JSON"),
            (200, {}, json.dumps({"choices": []}).encode()),
            (200, {}, completion("no verdict in this")),
        ]
    )
    server = serve(lambda number, body: next(faults, (200, {}, completion('{"winner": "2"}'))))
    where = Endpoint(server.url, "m", parallel=1, tries=6, wait=0.01)
    client = EndpointClient(where, parse, str(tmp_path / "cache"))
    request = [{"role": "user", "content": "which?"}]
    assert client.ask([request]) == ["2"]
    assert len(server.asked) == 6
    assert (client.spending.requests, client.spending.retries) == (6, 5)
    # What is known is not asked again, by another client either.
    again = EndpointClient(where, parse, str(tmp_path / "cache"))
    assert again.ask([request]) == ["2"]
    assert (len(server.asked), again.spending.cached) == (6, 1)


def test_what_stays_wrong_is_a_failure_and_a_budget_ends_it(
    serve: Callable[[Reply], Server],
) -> None:
    refusing = serve(lambda number, body: (401, {}, b"who are you?"))
    request = [{"role": "user", "content": "which?"}]
    client = EndpointClient(Endpoint(refusing.url, "m", wait=0.01), parse)
    assert client.ask([request]) == [Failure("refused", "status 401: who are you?")]
    assert len(refusing.asked) == 1
    # The key is for one address: where a server sends us elsewhere, nothing goes there.
    elsewhere = serve(lambda number, body: (200, {}, completion('{"winner": "1"}')))
    moved = serve(lambda number, body: (302, {"Location": elsewhere.url}, b""))
    client = EndpointClient(Endpoint(moved.url, "m", wait=0.01), parse)
    assert client.ask([request]) == [Failure("refused", "status 302: ")]
    assert not elsewhere.asked
    nobody = EndpointClient(Endpoint("http://127.0.0.1:9/v1", "m", tries=2, wait=0.01), parse)
    failure = nobody.ask([request])[0]
    assert isinstance(failure, Failure)
    assert failure.kind == "unreachable"
    server = serve(lambda number, body: (200, {}, completion('{"winner": "tie"}')))
    poor = EndpointClient(Endpoint(server.url, "m", parallel=1, most_requests=2), parse)
    said = poor.ask([[{"role": "user", "content": str(n)}] for n in range(4)])
    assert said == ["tie", "tie", *[Failure("budget", "the budget is spent")] * 2]
    with pytest.raises(UserError, match="no address"):
        EndpointClient(Endpoint("file:///etc/passwd", "m"), parse)


@pytest.mark.parametrize(
    ("forward", "backward", "outcome"),
    [
        ("1", "2", ("win", False)),
        ("2", "1", ("loss", False)),
        ("tie", "tie", ("tie", False)),
        ("1", "1", ("tie", True)),
        ("1", "tie", ("tie", True)),
    ],
)
def test_orders_are_joined(forward: Any, backward: Any, outcome: tuple[str, bool]) -> None:
    assert settle(forward, backward) == outcome


@pytest.mark.parametrize("text", ["", "1", '{"winner": 3}', '["winner"]', '{"winner": "1"', "{}"])
def test_no_verdict_is_no_verdict(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def test_an_interval_is_wilsons() -> None:
    low, high = wilson(8, 10) or (0, 0)
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) is None


def test_wrong_questions_and_answers_are_told(questions_file: Path) -> None:
    asked = load_questions(questions_file)
    outside = questions_file.parent / "other.jsonl"
    for line, said in (
        ({"id": "a", "category": "c", "question": "q", "images": ["../x.png"]}, "not below"),
        ({"id": "a", "category": "c", "question": "q", "images": ["no.png"]}, "there is no image"),
        ({"id": "a", "question": "q"}, "has an id, a category and a question"),
    ):
        outside.write_text(json.dumps(line))
        with pytest.raises(UserError, match=said):
            load_questions(outside)
    with pytest.raises(UserError, match="expected NAME=FILE"):
        load_answers(["ours"], asked)
    _, missing = load_answers([answers(questions_file, "some", {"q1": "x", "strange": "y"})], asked)
    assert missing == ["some: 5 questions without an answer, 1 strange ids"]


def test_people_rate_by_keyboard_and_their_scores_are_read_back(
    questions_file: Path, tmp_path: Path
) -> None:
    asked, models = both(questions_file)
    page_file = tmp_path / "sheet.html"
    assert write_sheet(page_file, asked, models, seed=2) == 6
    text = page_file.read_text()
    assert "ours" not in text
    assert "theirs" not in text
    key = json.loads(key_path(page_file).read_text())
    orders = {tuple(question["models"]) for question in key["questions"].values()}
    assert len(orders) == 2  # shuffled question by question
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        try:
            page = browser.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(page_file.as_uri())
            assert page.title() == "Rating sheet"
            assert page.locator("#images img").evaluate("image => image.naturalWidth") == 40
            page.fill("#rater", "Zoë 1")
            page.locator("#question").click()
            for number in range(5):
                assert page.locator("#where").text_content() == f"{number + 1} of 6"
                for text in page.locator(".answer .text").all_text_contents():
                    # The framed answer takes the score, and the frame goes on.
                    page.keyboard.press("5" if text.startswith("good") else "2")
            # By mouse, changed, and taken away again.
            page.locator(".answer").nth(0).locator("button").nth(3).click()
            page.keyboard.press("Backspace")
            assert page.locator("#done").text_content() == "5 rated"
            page.reload()  # what was done is still there
            assert page.locator("#done").text_content() == "5 rated"
            assert page.input_value("#rater") == "Zoë 1"
            with page.expect_download() as waiting:
                page.keyboard.press("s")
            saved = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(saved)
            assert saved.name.endswith("-Zoë-1.json")
            assert not faults
        finally:
            browser.close()
    found = read_scores(page_file, [saved]).to_json()
    whole = found["pairs"][0]["categories"]["all"]
    assert (whole["win"], whole["tie"], whole["loss"]) == (5, 0, 0)
    assert found["scores"]["ours"]["all"] == {"mean": 5.0, "count": 5}
    assert found["scores"]["theirs"]["recognition"] == {"mean": 2.0, "count": 3}
    assert found["unjudged"] == {"not rated": 1}
    with pytest.raises(UserError, match="have been read already"):
        read_scores(page_file, [saved, saved])
    write_sheet(page_file, asked, models, seed=3)
    with pytest.raises(UserError, match="scores of another sheet"):
        read_scores(page_file, [saved])
