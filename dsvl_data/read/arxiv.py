"""arXiv articles wherever they lie: the bulk tars as they are, or a plain folder of articles.

In: the `InputSpec`s of a recipe, and arXiv's metadata as JSON lines when there is such a file.
Out: one `DocumentRef` an article, which knows where its source and its PDF lie; and the bytes of
both. Nothing is unpacked and no payload is looked at: of a bulk tar the headers are read, and a
member is a byte range of it.

Bulk tars are told by their members (`2301/2301.00001.gz`, `0001/astro-ph0001001.gz`, the same
with `.pdf` and a version), wherever they lie and however many there are; source and PDF are
joined by id. In a plain folder an article is a folder with TeX files (and all that is below it),
an archive (`.tar.gz`, `.tgz`, `.tar`, `.zip`), or a single gzipped TeX file (`.gz`); its PDF may
lie beside it (under its name, or arXiv's id and version), or in a folder among the figures, where
`article_source.own_pdfs` finds it. Two papers in one folder are one article, as a submission is on
arXiv: the PDF that is taken decides whose pages are kept, and the other main file is told in the
ledger (`beside_article`). Papers that are each to be converted lie in folders of their own.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from dsvl_data import storage
from dsvl_data.outcome import DocumentError, Reason
from dsvl_data.pipeline import DocumentRef, InputSpec
from dsvl_data.read.arxiv_metadata import MetadataIndex
from dsvl_data.read.listing import InputError, check_listed, failed, list_files, refused
from dsvl_data.read.members import tar_members
from dsvl_data.storage import StoredFile

_MEMBER = re.compile(
    r"(?:.*/)?\d{4}/(?P<name>\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?\d{7})"
    r"(?:v(?P<version>\d+))?\.(?P<kind>gz|pdf)"
)
_OLD_NAME = re.compile(r"([a-z-]+(?:\.[A-Z]{2})?)(\d{7})")
_ID = re.compile(r"\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/?\d{7}")
_PREFIX = re.compile(r"arxiv[-_]", re.IGNORECASE)
_VERSION = re.compile(r"v(\d+)$")
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip", ".gz")
_TEX = (".tex", ".ltx", ".latex")
_README = ("00readme.xxx", "00readme.json", "00readme.yaml", "00readme.yml")
_HEAD = struct.Struct(">8sQQ")
_MAGIC = b"ARTICLE1"

#: (path, offset, size) of some bytes.
Place = tuple[str, int, int]


class _Copy(NamedTuple):
    """A source or a PDF in a bulk tar; version 0: its name says none."""

    version: int
    place: Place
    licence: str


@dataclass(slots=True)
class _Found:
    """One article of the bulk tars, as far as it has been met: all versions of its files."""

    sources: tuple[_Copy, ...] = ()
    pdfs: tuple[_Copy, ...] = ()


@dataclass(slots=True)
class _Folder:
    """One article of a plain folder: a folder of files, or one archive."""

    place: str
    licence: str
    files: list[StoredFile] = field(default_factory=list)
    pdf: StoredFile | None = None
    refused: tuple[Reason, str] | None = None


def list_articles(
    inputs: Sequence[InputSpec], *, metadata: str | None = None
) -> Iterator[DocumentRef]:
    """List the articles of all inputs: by data set, the bulk ones by id, then the plain ones.

    `uri` is the arXiv id where there is one (`2301.00001`, `hep-th/9901001`), else the path
    below the input. `meta` holds `id`, `version` (0: unknown), `source` and `pdf` (`[path,
    offset, size]` or null), `folder` for a plain folder, and `metadata`, where the article's line
    lies in that file; `arxiv_metadata.resolve_article` reads it. `size` is that of source and PDF
    together. Raises `InputError` when an input or the metadata is not there, or two inputs of a
    data set hold the same plain article.
    """
    index = MetadataIndex(metadata) if metadata is not None else None
    for dataset in dict.fromkeys(spec.dataset for spec in inputs):
        specs = [spec for spec in inputs if spec.dataset == dataset]
        for ref in _list_dataset(dataset, specs):
            found = index.find(str(ref.meta.get("id", ""))) if index is not None else None
            if found is not None:
                ref = replace(ref, meta={**ref.meta, "metadata": [metadata, *found]})
            yield ref


def read_article(ref: DocumentRef) -> bytes:
    """Load source and PDF of an article as one block of bytes; `split_article` parts them.

    The source is as it lies, and a tar made here for a plain folder. Raises `DocumentError`:
    `UNREADABLE`, `BAD_ARCHIVE` (a bulk tar that could not be listed), `UNSAFE_PATH` (a link that
    leads out of the input).
    """
    check_listed(ref)
    try:
        folder = ref.meta.get("folder")
        source = _pack(folder) if folder is not None else _read(ref.meta["source"])
        pdf = _read(ref.meta["pdf"])
    except OSError as error:
        raise DocumentError(Reason.UNREADABLE, f"{ref.uri}: {error}") from error
    return _HEAD.pack(_MAGIC, len(source), len(pdf)) + source + pdf


def split_article(data: bytes) -> tuple[bytes, bytes]:
    """Return the source and the PDF of what `read_article` loaded; empty where there is none."""
    if len(data) < _HEAD.size or not data.startswith(_MAGIC):
        raise ValueError("these bytes were not made by read_article")
    _, source, pdf = _HEAD.unpack_from(data)
    end = _HEAD.size + source
    return data[_HEAD.size : end], data[end : end + pdf]


def _list_dataset(dataset: str, specs: Sequence[InputSpec]) -> Iterator[DocumentRef]:
    bulk: dict[str, _Found] = {}
    folders: dict[str, _Folder] = {}
    left_over: list[DocumentRef] = []
    for spec in specs:
        plain: list[StoredFile] = []
        for file in list_files(spec):
            if file.link and file.relative.lower().endswith((*_ARCHIVES, ".pdf", *_TEX)):
                left_over.append(refused(spec, file))
            elif file.link:
                continue
            elif not file.relative.lower().endswith(".tar"):
                plain.append(file)
            else:
                try:
                    if not _take_bulk(spec, file, bulk):
                        plain.append(file)
                except (tarfile.TarError, ValueError, EOFError) as error:
                    detail = f"{file.relative}: {error}"
                    left_over.append(failed(spec, file, Reason.BAD_ARCHIVE, detail))
        for name, article in _plain_articles(spec, plain):
            if name in folders:
                raise InputError(
                    f"two inputs of data set {dataset!r} both hold {name!r}: document ids would "
                    "clash; give the inputs different dataset names"
                )
            folders[name] = article
    for name in sorted(bulk):
        yield _bulk_ref(dataset, name, bulk[name])
    for name in sorted(folders):
        if name not in bulk:
            yield _plain_ref(dataset, name, folders[name])
    yield from left_over


def _take_bulk(spec: InputSpec, file: StoredFile, bulk: dict[str, _Found]) -> bool:
    """Take the members of a bulk tar; False if it is none.

    `arXiv_src` holds PDFs too, without a version: articles that were submitted without source.
    """
    taken = False
    for name, offset, size in tar_members(file.path):
        match = _MEMBER.fullmatch(name)
        if match is None:
            if not taken:
                return False
            continue
        taken = True
        found = bulk.setdefault(_article_id(match["name"]), _Found())
        copy = _Copy(int(match["version"] or 0), (file.path, offset, size), spec.licence)
        if match["kind"] == "gz":
            found.sources += (copy,)
        else:
            found.pdfs += (copy,)
    return taken


def _article_id(name: str) -> str:
    """`astro-ph0001001`, as files are called, is `astro-ph/0001001`."""
    old = _OLD_NAME.fullmatch(name)
    return f"{old[1]}/{old[2]}" if old else name


def _bulk_ref(dataset: str, name: str, found: _Found) -> DocumentRef:
    source, pdf = _choose(found)
    main = source or pdf
    assert main is not None
    meta = {
        "id": name,
        "version": (source.version if source else 0) or (pdf.version if pdf else 0),
        "source": list(source.place) if source else None,
        "pdf": list(pdf.place) if pdf else None,
    }
    size = sum(copy.place[2] for copy in (source, pdf) if copy)
    path, offset, _ = main.place
    return DocumentRef(dataset, name, main.licence, path, size, offset, meta)


def _choose(found: _Found) -> tuple[_Copy | None, _Copy | None]:
    """Return the last version that has both source and PDF, else the last source, or PDF.

    Two versions do not belong together; a file without a version goes with any. Of two files of
    one version the later one is taken: a tar that was made again.
    """
    pairs = [
        (source, pdf)
        for source in found.sources
        for pdf in found.pdfs
        if 0 in (source.version, pdf.version) or source.version == pdf.version
    ]
    if pairs:
        return sorted(pairs, key=lambda pair: (pair[0].version, pair[1].version))[-1]
    files = sorted(found.sources or found.pdfs, key=lambda copy: copy.version)
    return (files[-1], None) if found.sources else (None, files[-1])


def _plain_articles(spec: InputSpec, files: Sequence[StoredFile]) -> Iterator[tuple[str, _Folder]]:
    """Yield the name and the files of each article among the files of one input."""
    homes = {
        str(PurePosixPath(file.relative).parent)
        for file in files
        if file.relative.lower().endswith(_TEX)
        or PurePosixPath(file.relative).name.lower() in _README
    }
    articles: dict[str, _Folder] = {}
    loose_pdfs: dict[str, StoredFile] = {}
    for file in files:
        path = PurePosixPath(file.relative)
        # The topmost folder with TeX files directly in it holds the whole article.
        home = next((str(up) for up in reversed(path.parents) if str(up) in homes), None)
        if home is not None:
            root = file.path[: len(file.path) - len(file.relative)].rstrip("/") or "/"
            place = root if home == "." else f"{root}/{home}"
            name = PurePosixPath(root).name if home == "." else home
            articles.setdefault(name, _Folder(place, spec.licence)).files.append(file)
        elif path.name.lower().endswith(".pdf"):
            loose_pdfs[str(path.with_suffix(""))] = file
        else:
            stem = next((file.relative[: -len(end)] for end in _ARCHIVES
                         if file.relative.lower().endswith(end)), None)  # fmt: skip
            if stem:
                articles.setdefault(stem, _Folder(file.path, spec.licence, [file]))
    by_id: dict[str, list[str]] = {}
    for name in articles:
        by_id.setdefault(_identity(name)[0], []).append(name)
    for stem, pdf in sorted(loose_pdfs.items(), key=lambda one: (_identity(one[0])[1], one[0])):
        owner = _owner(stem, by_id)
        if owner is not None:
            # The last version comes last, and takes an article that says none of its own.
            if (former := articles[owner].pdf) is not None:
                alone = former.relative[: -len(".pdf")]
                alone = former.relative if alone in articles else alone
                articles[alone] = _Folder("", spec.licence, [], former)
            articles[owner].pdf = pdf
        elif not any(str(up) in articles for up in PurePosixPath(stem).parents):
            articles[stem] = _Folder("", spec.licence, [], pdf)
    yield from articles.items()


def _owner(stem: str, by_id: Mapping[str, Sequence[str]]) -> str | None:
    """Return the article whose PDF this is: by name, or by arXiv's id and version."""
    name, version = _identity(stem)
    here = PurePosixPath(stem).parent
    likely = []
    for other in by_id.get(name, ()):
        near = PurePosixPath(other).parent == here
        known = _identity(other)[1]
        if (near or _ID.fullmatch(name)) and (version == known or 0 in (version, known)):
            likely.append((version == known, near, other))
    return max(likely)[2] if likely else None


def _identity(name: str) -> tuple[str, int]:
    """Return the id and the version (0: none) of a file name such as `arXiv-2401.00001v1`.

    That is what arXiv's site calls a source, and the PDF of it `2401.00001v1.pdf`. A name without
    an id is its own.
    """
    last = PurePosixPath(name).name
    version = _VERSION.search(last)
    bare = _VERSION.sub("", _PREFIX.sub("", last, count=1))
    if _ID.fullmatch(bare) is None:
        return (_VERSION.sub("", last), int(version[1]) if version else 0)
    return _article_id(bare), int(version[1]) if version else 0


def _plain_ref(dataset: str, name: str, article: _Folder) -> DocumentRef:
    archive = len(article.files) == 1 and article.files[0].path == article.place
    pdf = article.pdf
    size = sum(file.size for file in article.files) + (pdf.size if pdf else 0)
    identity, version = _identity(name.removesuffix(".pdf"))
    meta: dict[str, Any] = {
        "id": identity if _ID.fullmatch(identity) else PurePosixPath(name).name,
        "version": version,
        "source": [article.place, 0, article.files[0].size] if archive else None,
        "pdf": [pdf.path, 0, pdf.size] if pdf else None,
    }
    if article.files and not archive:
        meta["folder"] = article.place
    path = article.place or (pdf.path if pdf else "")
    return DocumentRef(dataset, name, article.licence, path, size, 0, meta)


def _read(place: Sequence[Any] | None) -> bytes:
    if place is None:
        return b""
    path, offset, size = place
    data = storage.read_bytes(path, offset, size)
    if len(data) < size:
        raise DocumentError(Reason.UNREADABLE, f"{path}: {len(data)} bytes of {size} are there")
    return data


def _pack(folder: str) -> bytes:
    """Make a tar of a folder: the same bytes on every machine."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in storage.find_files(folder, judge_links=True):
            if file.link:
                continue
            data = storage.read_bytes(file.path)
            member = tarfile.TarInfo(file.relative)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
