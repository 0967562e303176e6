"""One pass over a part: a row of scores and hashes for each sample.

In: `DIR/parts/<pipeline>/part-*.parquet` and the scorers that a recipe's settings ask for. Out:
`DIR/curation/measures/<pipeline>/part-*.parquet`, a row a sample in the part's order:

    key, document, category, language, licence, dataset    as the sample has them
    scores                                                 those that its converter gave
    images, text_tokens                                    how many
    ...                                                    the columns of each scorer

No threshold goes in, so none that changes makes a measure stale. A part that changed is measured
again; a scorer that is new, or another version, is run alone and the other columns are kept; one
that is no longer asked for leaves its columns behind.

Memory: a batch of samples, and a part's measures (some hundred bytes a sample).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dsvl_data import storage
from dsvl_data.curate import stored
from dsvl_data.curate.criteria import scorers
from dsvl_data.curate.rule import Prepared, Scorer
from dsvl_data.curate.settings import Curation
from dsvl_data.curate.stored import CurationError
from dsvl_data.outcome import UserError
from dsvl_data.sample import Sample, from_batch
from dsvl_data.shards.plan import PARTS, fingerprint_of, read_footer
from dsvl_data.shards.tokens import token_counter

STAGE = "measures"
TEXT_TOKENS = "text_tokens"

_FORMAT = 1
_ROWS = 32  # samples at once; bounds what pages with large images cost
_READ_BUFFER = 4 << 20
#: What every measure has, scorers or not.
BASE = pa.schema(
    [
        ("key", pa.string()),
        ("document", pa.string()),
        ("category", pa.string()),
        ("language", pa.string()),
        ("licence", pa.string()),
        ("dataset", pa.string()),
        ("scores", pa.map_(pa.string(), pa.float64())),
        ("images", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Measured:
    """A part with its measures.

    `name` is its path below `parts/`; `part` changes with the part, `fingerprint` with the part
    or with what measured it; `fresh` says that the measures on disk are those.
    """

    name: str
    rows: int
    part: str
    fingerprint: str
    fresh: bool


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts the tokens of texts as the shards will."""

    tokenizer: str | None
    name: ClassVar[str] = "tokens"
    columns: ClassVar[Mapping[str, pa.DataType]] = {TEXT_TOKENS: pa.int64()}
    gpus: ClassVar[float] = 0

    @property
    def version(self) -> str:
        """What counts."""
        return _counter(self.tokenizer).name

    def score(self, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
        """See `Scorer`."""
        return {TEXT_TOKENS: _counter(self.tokenizer).count([each.text for each in samples])}


_counter = lru_cache(maxsize=2)(token_counter)


def all_scorers(out: str, settings: Curation, tokenizer: str | None) -> list[Scorer]:
    """Return everything that is to be measured, whatever the rules; see also `prepare`."""
    found = (each.placed(out) if isinstance(each, Prepared) else each for each in scorers(settings))
    return [Tokens(tokenizer), *found]


def check(settings: Curation) -> None:
    """Raise `UserError` for benchmarks and models that are not there, or not what they must be."""
    chosen = scorers(settings)
    for each in chosen:
        if isinstance(each, Prepared):
            each.check()
    versions_of([each for each in chosen if not isinstance(each, Prepared)])


def prepare(out: str, settings: Curation) -> None:
    """Make what scorers share, where it is not there yet: before `all_scorers` is called."""
    for each in scorers(settings):
        if isinstance(each, Prepared):
            each.prepare(out)


def versions_of(chosen: Sequence[Scorer]) -> dict[str, str]:
    """Return what makes each scorer's columns stale, by its name: its version, or their names."""
    return {one.name: f"{one.version} ({', '.join(sorted(one.columns))})" for one in chosen}


def look(out: str, names: Sequence[str], versions: Mapping[str, str]) -> list[Measured]:
    """Look at parts and their measures, by their footers; `versions` as of `versions_of`."""
    found = []
    for name in names:
        rows, part = _identify(out, name)
        note = stored.note(stored.path(out, STAGE, name))
        held: Mapping[str, str] = note.get("scorers", {}) if _is_of(note, part) else {}
        fresh = versions.items() <= held.items()
        found.append(
            Measured(name, rows, part, stored.digest(_FORMAT, part, dict(versions)), fresh)
        )
    return found


def measure(out: str, part: Measured, settings: Curation, tokenizer: str | None) -> None:
    """Measure one part, as far as it is not done."""
    place = stored.path(out, STAGE, part.name)
    chosen = all_scorers(out, settings, tokenizer)
    note = stored.note(place)
    columns: dict[str, pa.ChunkedArray] = {}
    versions: dict[str, str] = {}
    if _is_of(note, part.part):
        before = stored.read(place)
        columns = dict(zip(before.column_names, before.columns, strict=True))
        versions = dict(note["scorers"])
    wanted = versions_of(chosen)
    missing = [one for one in chosen if versions.get(one.name) != wanted[one.name]]
    tables = [_score(batch, missing) for batch in _batches(out, part.name)]
    schema = _schema(missing)
    new = pa.concat_tables(tables) if tables else schema.empty_table()
    if _identify(out, part.name)[1] != part.part:
        raise CurationError(f"{PARTS}/{part.name} changed while it was measured; run it again")
    columns |= dict(zip(new.column_names, new.columns, strict=True))
    versions |= wanted
    names = [*BASE.names, *sorted(columns.keys() - set(BASE.names))]
    table = pa.table({name: columns[name].combine_chunks() for name in names})
    stored.write(place, table, {"format": _FORMAT, "part": part.part, "scorers": versions})


def read(out: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a part's measures, one row a sample, in the part's order."""
    return stored.read(stored.path(out, STAGE, name), columns)


def _score(batch: pa.RecordBatch, missing: Sequence[Scorer]) -> pa.Table:
    samples = list(from_batch(batch))
    source = batch.column("source")
    kinds = pc.struct_field(pc.list_flatten(batch.column("segments")), "type")
    owners = np.asarray(pc.list_parent_indices(batch.column("segments")))
    images = np.bincount(owners[np.asarray(pc.equal(kinds, "image"))], minlength=batch.num_rows)
    values: dict[str, Any] = {
        "key": batch.column("key"),
        "document": batch.column("document"),
        "category": batch.column("category"),
        "language": batch.column("language"),
        "licence": pc.struct_field(source, "licence"),
        "dataset": pc.struct_field(source, "dataset"),
        "scores": batch.column("scores"),
        "images": pa.array(images, pa.int32()),
    }
    for scorer in missing:
        given = _score_by(scorer, samples)
        for name, kind in scorer.columns.items():
            if len(given[name]) != len(samples):
                raise AssertionError(f"{scorer.name}: {len(given[name])} of {len(samples)} {name}")
            values[name] = pa.array(given[name], kind)
    return pa.table(values, schema=_schema(missing))


def _score_by(scorer: Scorer, samples: Sequence[Sample]) -> Mapping[str, Sequence[Any]]:
    try:
        return scorer.score(samples)
    except UserError:
        raise
    except Exception as error:  # whatever it is, only the sample's key makes it a thing to mend
        if len(samples) > 1:
            for sample in samples:
                _score_by(scorer, [sample])
        raise CurationError(
            f"the scorer {scorer.name} fails on sample {samples[0].key} of "
            f"{samples[0].document}: {type(error).__name__}: {error} (a fault of ours)"
        ) from error


def _schema(missing: Sequence[Scorer]) -> pa.Schema:
    fields = [*BASE, *(pa.field(*item) for one in missing for item in one.columns.items())]
    if len({each.name for each in fields}) != len(fields):
        raise AssertionError("two scorers give columns of one name")
    return pa.schema(fields)


def _batches(out: str, name: str) -> Iterator[pa.RecordBatch]:
    path = storage.join(out, PARTS, name)
    try:
        with storage.open_input(path) as source:
            file = pq.ParquetFile(source, buffer_size=_READ_BUFFER, pre_buffer=False)
            yield from file.iter_batches(batch_size=_ROWS, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _identify(out: str, name: str) -> tuple[int, str]:
    """Return a part's number of samples and its fingerprint."""
    path = storage.join(out, PARTS, name)
    try:
        with storage.open_input(path) as source:
            footer = read_footer(source)
            source.seek(0)
            return pq.read_metadata(source).num_rows, fingerprint_of(footer, source.size())
    except (OSError, pa.ArrowException, ValueError) as error:
        raise _unreadable(path, error) from error


def _is_of(note: Mapping[str, Any], part: str) -> bool:
    return note.get("format") == _FORMAT and note.get("part") == part


def _unreadable(path: str, error: Exception) -> CurationError:
    return CurationError(
        f"{path} is no readable part: {error}; remove it and run `dsvl-data corpus build` again"
    )
