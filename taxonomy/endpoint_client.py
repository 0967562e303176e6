"""Chat requests to any OpenAI-compatible server: messages in; what their answers parse to, out.

Requests go out on several threads, and come back in order. What a server does wrong is met by
trying again (429 with its `Retry-After`, 5xx, time-outs, broken connections, bodies that are no
JSON, answers that the caller cannot parse); what stays wrong becomes a `Failure`, not an
exception. Answers that parsed are cached by content, so a run that was cut off pays for nothing
twice; a budget ends a run that would pay too much.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from dsvl_data import storage
from dsvl_data.outcome import UserError

Messages: TypeAlias = list[dict[str, Any]]
T = TypeVar("T")

_MOST_BYTES = 8 << 20  # of an answer; what is longer is no answer
_LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how. `url` is what stands before `/chat/completions`.

    The key comes from the environment variable `key_variable`, if that is set; it is never
    written anywhere. `most_requests` and `most_tokens` are the budget of a client, repeats
    counted (0: none). `wait` is the first pause before a repeat, doubled each time.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    parallel: int = 8
    timeout: float = 120.0
    tries: int = 5
    wait: float = 1.0
    most_requests: int = 0
    most_tokens: int = 0
    options: dict[str, Any] = field(default_factory=lambda: {"temperature": 0})


@dataclass(frozen=True)
class Failure:
    """A request without an answer: `budget`, `refused` (4xx), `unreachable`, `unreadable`."""

    kind: str
    detail: str


@dataclass
class Spending:
    """What a client has used; `cached` answers cost nothing."""

    requests: int = 0
    tokens: int = 0
    cached: int = 0
    repeats: int = 0


class _Again(Exception):
    """Worth another try, after so many seconds if the server says."""

    def __init__(self, kind: str, detail: str, after: float | None = None) -> None:
        super().__init__(detail)
        self.failure = Failure(kind, detail)
        self.after = after


class EndpointClient(Generic[T]):
    """Asks an endpoint. `parse` turns an answer's text into a value, or raises `ValueError`."""

    def __init__(
        self, endpoint: Endpoint, parse: Callable[[str], T], cache: str | None = None
    ) -> None:
        if not endpoint.url.startswith(("http://", "https://")):
            raise UserError(f"{endpoint.url!r} is no address: it begins with http:// or https://")
        self._endpoint, self._parse = endpoint, parse
        self._cache = None if cache is None else Path(cache)
        self._lock = threading.Lock()
        self.spending = Spending()

    def ask(self, requests: Sequence[Messages]) -> list[T | Failure]:
        """Return for each request what its answer parses to, or why there is none."""
        with ThreadPoolExecutor(max(1, self._endpoint.parallel)) as pool:
            return list(pool.map(self._one, requests))

    def _one(self, messages: Messages) -> T | Failure:
        body = json.dumps(
            {"model": self._endpoint.model, "messages": messages, **self._endpoint.options},
            sort_keys=True,
        ).encode()
        known = self._recall(body)
        if known is not None:
            return known[0]
        wait = self._endpoint.wait
        failure = Failure("unreachable", "not tried")
        for number in range(max(1, self._endpoint.tries)):
            if not self._may_spend():
                return Failure("budget", "the budget is spent")
            if number:
                with self._lock:
                    self.spending.repeats += 1
            try:
                text = self._request(body)
                value = self._parse(text)
            except _Again as again:
                failure, pause = again.failure, again.after
            except ValueError as error:
                failure, pause = Failure("unreadable", f"{error}"), 0.0
            else:
                self._remember(body, text)
                return value
            if failure.kind == "refused":
                return failure
            if number + 1 < self._endpoint.tries:
                time.sleep(min(_LONGEST_WAIT, wait if pause is None else pause))
                wait *= 2
        return failure

    def _may_spend(self) -> bool:
        most, tokens = self._endpoint.most_requests, self._endpoint.most_tokens
        with self._lock:
            if (most and self.spending.requests >= most) or (
                tokens and self.spending.tokens >= tokens
            ):
                return False
            self.spending.requests += 1
            return True

    def _request(self, body: bytes) -> str:
        """Send one request; returns the text of its answer."""
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self._endpoint.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        address = self._endpoint.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(address, body, headers)  # noqa: S310 http(s) was checked
        try:
            with urllib.request.urlopen(request, timeout=self._endpoint.timeout) as answer:  # noqa: S310
                data = answer.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace")
            detail = f"status {error.code}: {said}"
            if error.code in (408, 409, 425, 429) or error.code >= 500:
                after = error.headers.get("Retry-After", "")
                seconds = float(after) if after.replace(".", "", 1).isdigit() else None
                raise _Again("unreachable", detail, seconds) from error
            raise _Again("refused", detail) from error
        except (OSError, http.client.HTTPException) as error:  # time-outs are OSErrors
            raise _Again("unreachable", f"{type(error).__name__}: {error}") from error
        if len(data) > _MOST_BYTES:
            raise _Again("unreadable", f"an answer of more than {_MOST_BYTES} bytes")
        try:
            said = json.loads(data)
            text = said["choices"][0]["message"]["content"]
            tokens = int((said.get("usage") or {}).get("total_tokens") or 0)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _Again("unreadable", f"no chat completion: {data[:200]!r}") from error
        with self._lock:
            self.spending.tokens += tokens
        if not isinstance(text, str):
            raise _Again("unreadable", "a completion without text")
        return text

    def _place(self, body: bytes) -> Path | None:
        if self._cache is None:
            return None
        # The address is part of it: two servers may call different models by one name.
        name = hashlib.blake2b(self._endpoint.url.encode() + b"\0" + body, digest_size=20)
        return self._cache / name.hexdigest()[:2] / f"{name.hexdigest()}.json"

    def _recall(self, body: bytes) -> tuple[T] | None:
        """Return the value of a cached answer in a tuple; None when there is none."""
        place = self._place(body)
        if place is None or not place.is_file():
            return None
        try:
            value = self._parse(json.loads(place.read_bytes())["answer"])
        except (ValueError, KeyError, TypeError):
            return None  # of another parser, or damaged: asked again
        with self._lock:
            self.spending.cached += 1
        return (value,)

    def _remember(self, body: bytes, text: str) -> None:
        place = self._place(body)
        if place is not None:
            storage.atomic_write(str(place), json.dumps({"answer": text}).encode())
