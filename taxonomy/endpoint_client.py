"""Chat requests to any OpenAI-compatible server: messages in; what their answers parse to, out.

`ChatServer` sends, waits and keeps to a budget; the classifier (`endpoint.py`) puts its own batches
on it. `EndpointClient` is for requests that have nothing to do with each other: they go out on
several threads, and come back in order. What a server does wrong is met by trying again (429 with
its `Retry-After`, 5xx, time-outs, broken connections, bodies that are no JSON, answers that the
caller cannot parse); what stays wrong becomes a `Failure`, not an exception. Answers that parsed
are cached by content, so a run that was cut off pays for nothing twice; a budget ends a run that
would pay too much.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import requests

from dsvl_data import storage
from dsvl_data.outcome import UserError

Messages: TypeAlias = list[dict[str, Any]]
T = TypeVar("T")

_MOST_BYTES = 1 << 20  # of an answer; what is longer is no answer
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
    """What was used; `cached` answers cost nothing. Tokens are the server's, or a guess."""

    requests: int = 0
    tokens: int = 0
    cached: int = 0
    retries: int = 0


class OutOfBudget(Exception):
    """Another request would go over the budget."""


class Unreadable(ValueError):
    """An answer of another form than was asked for."""


class Refused(Exception):
    """What no second try mends: a wrong key, model or address."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"status {status}: {said}")
        self.status = status
        self.said = said


class Again(Exception):
    """Worth another try, after so many seconds if the server says."""

    def __init__(self, detail: str, after: float | None = None) -> None:
        super().__init__(detail)
        self.after = after


class ChatServer:
    """Sends requests to `URL/chat/completions`, for any number of threads.

    `tries` of a request at most; pauses begin with `wait` seconds and double. The budget
    (`most_requests`, `most_tokens`; None: no limit) counts repeats too.
    """

    def __init__(
        self,
        url: str,
        key: str | None,
        spending: Spending,
        *,
        timeout: float,
        tries: int,
        wait: float,
        most_requests: int | None = None,
        most_tokens: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UserError(f"{url!r} is no address: it must begin with http:// or https://")
        self.url = f"{url.rstrip('/')}/chat/completions"
        self.spending = spending
        self.tries = max(1, tries)
        self.lock = threading.Lock()
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout, self._wait, self._sleep = timeout, wait, sleep
        self._most_requests, self._most_tokens = most_requests, most_tokens

    def complete(self, body: bytes, estimate: int) -> str:
        """Return an answer's text; raises `Again` after the last try, else as `once` does."""
        for attempt in range(1, self.tries + 1):
            try:
                return self.once(body, estimate)
            except Again as again:
                if attempt == self.tries:
                    raise
                self.pause(attempt, again.after)
        raise AssertionError("tries is at least 1")

    def once(self, body: bytes, estimate: int = 0) -> str:
        """Send a request (JSON), and return its answer's text.

        `estimate` tokens are taken from the budget until the server tells how many it was. Raises
        `Again`, `Refused`, `Unreadable` or `OutOfBudget`.
        """
        self._reserve(estimate)
        try:
            status, content, wait = self._send(body)
        except requests.RequestException as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        if status != 200:
            said = content[:500].decode("utf-8", "replace")
            if status in (408, 409, 425, 429) or status >= 500:
                raise Again(f"status {status}: {said}", wait)
            raise Refused(status, said)
        try:
            reply = json.loads(content)
            used = (reply.get("usage") or {}).get("total_tokens")
            if isinstance(used, int) and used >= 0:
                with self.lock:
                    self.spending.tokens += used - estimate
            text = reply["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Unreadable(f"no chat completion: {content[:200]!r}") from error
        if not isinstance(text, str):
            raise Unreadable("a completion without text")
        return text

    def pause(self, attempt: int, asked: float | None) -> None:
        """Wait before the next try: ever longer, and as long as the server asks for."""
        self.count_retry()
        longest = min(self._wait * 2 ** (attempt - 1), _LONGEST_WAIT)
        # Clients that failed together shall not come back together.
        own = longest * (0.5 + random.random() / 2)  # noqa: S311 no secret
        self._sleep(min(max(own, asked or 0.0), _LONGEST_WAIT))

    def count_retry(self) -> None:
        """Take note of another try."""
        with self.lock:
            self.spending.retries += 1

    def _reserve(self, tokens: int) -> None:
        with self.lock:
            spent = self.spending
            if self._most_requests is not None and spent.requests >= self._most_requests:
                raise OutOfBudget
            if self._most_tokens is not None and spent.tokens + max(1, tokens) > self._most_tokens:
                raise OutOfBudget
            spent.requests += 1
            spent.tokens += tokens

    def _send(self, body: bytes) -> tuple[int, bytes, float | None]:
        """Return status, body, and the seconds that the server asks to wait."""
        # No redirects: the key is for this address alone.
        with requests.post(
            self.url,
            data=body,
            headers=self._headers,
            timeout=self._timeout,
            stream=True,
            allow_redirects=False,
        ) as reply:
            ends = time.monotonic() + self._timeout
            content = bytearray()
            for chunk in reply.iter_content(1 << 14):
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise requests.RequestException("the answer is too long")
                # The library's own limit is on each read, not on all of them.
                if time.monotonic() > ends:
                    raise requests.Timeout("the answer takes too long")
            try:
                wait = max(0.0, float(reply.headers.get("Retry-After", "")))
            except ValueError:
                wait = None
            return reply.status_code, bytes(content), wait


class EndpointClient(Generic[T]):
    """Asks an endpoint. `parse` turns an answer's text into a value, or raises `ValueError`."""

    def __init__(
        self, endpoint: Endpoint, parse: Callable[[str], T], cache: str | None = None
    ) -> None:
        self.spending = Spending()
        self._server = ChatServer(
            endpoint.url,
            os.environ.get(endpoint.key_variable),
            self.spending,
            timeout=endpoint.timeout,
            tries=endpoint.tries,
            wait=endpoint.wait,
            most_requests=endpoint.most_requests or None,
            most_tokens=endpoint.most_tokens or None,
        )
        self._endpoint, self._parse = endpoint, parse
        self._cache = None if cache is None else Path(cache)

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
        server = self._server
        failure = Failure("unreachable", "not tried")
        for attempt in range(1, server.tries + 1):
            last = attempt == server.tries
            try:
                text = server.once(body)
                value = self._parse(text)
            except OutOfBudget:
                return Failure("budget", "the budget is spent")
            except Refused as refused:
                return Failure("refused", f"{refused}")
            except Again as again:
                failure = Failure("unreachable", f"{again}")
                if not last:
                    server.pause(attempt, again.after)
            except ValueError as error:
                failure = Failure("unreadable", f"{error}")
                if not last:
                    server.count_retry()
            else:
                self._remember(body, text)
                return value
        return failure

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
        with self._server.lock:
            self.spending.cached += 1
        return (value,)

    def _remember(self, body: bytes, text: str) -> None:
        place = self._place(body)
        if place is not None:
            storage.atomic_write(str(place), json.dumps({"answer": text}).encode())
