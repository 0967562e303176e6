"""A folder that stands for the network, for pages that load libraries from elsewhere.

In: a folder whose tree mirrors host and path, and what belongs to the page itself. Out: the
mapping of names and addresses to what answers them that `render.browser` takes; only what is asked
for is read.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dsvl_data.render.pages import Asset


class Mirror(Mapping[str, Asset]):
    """What a page may load: its own document, and the folder that stands for the network."""

    def __init__(self, folder: Path | None, own: Mapping[str, Asset]) -> None:
        self._folder = folder
        self._own = own

    def __getitem__(self, name: str) -> Asset:
        if name in self._own:
            return self._own[name]
        url = urlsplit(name)
        if self._folder is None or url.scheme not in ("http", "https") or not url.hostname:
            raise KeyError(name)
        base = self._folder.resolve()
        file = base.joinpath(url.hostname, unquote(url.path).lstrip("/")).resolve()
        if not file.is_relative_to(base) or not file.is_file():
            raise KeyError(name)
        # npm addresses such as `vega@5` have no suffix; what pages load from there are scripts.
        media_type = mimetypes.guess_type(file.name)[0] or "text/javascript"
        return Asset(file.read_bytes(), media_type)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own)

    def __len__(self) -> int:
        return len(self._own)
