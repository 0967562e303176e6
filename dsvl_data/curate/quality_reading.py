"""The texts of a folder, as the text pipeline reads it, for the training of a quality model.

In: a path and the pipeline that reads plain text (files, HTML, JSON lines, Parquet, crawls). Out:
pairs of a document's id and a piece of its text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from dsvl_data.engine.job import Job
from dsvl_data.engine.preflight import load_jobs
from dsvl_data.outcome import DocumentError
from dsvl_data.pipeline import Document, InputSpec
from dsvl_data.sample import Sample


class Texts:
    """Iterates over the texts once; then `unread` says which documents gave none, by reason.

    Raises `UserError` where the path names nothing that the pipeline can read.
    """

    def __init__(self, path: str, pipeline: str) -> None:
        job = Job(name="texts", pipeline=pipeline, inputs=(InputSpec(path=path, dataset="texts"),))
        self._loaded = load_jobs([job])[0]
        self.unread: Counter[str] = Counter()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield document ids and texts."""
        pipeline, options = self._loaded.pipeline, self._loaded.options
        converter = pipeline.converter(options)
        try:
            for ref in pipeline.source(self._loaded.job.inputs, options):
                read = partial(pipeline.reader, ref)
                document = Document(ref, read, pipeline.name, pipeline.version, self._loaded.limits)
                try:
                    for item in converter([document]):
                        if isinstance(item, Sample):
                            yield ref.id, item.text
                except DocumentError as error:
                    self.unread[str(error.reason)] += 1
        finally:
            converter.close()
