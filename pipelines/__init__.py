"""Kinds of data: one module each, from a document of that kind to its samples.

To add one, write a module with a `PIPELINE` (see `dsvl_data.pipeline.Pipeline`) and name it here.
"""

#: Name in recipes, ledgers and folders -> where its `Pipeline` is; loaded only when used.
PIPELINES = {
    "notebooks": "pipelines.notebooks:PIPELINE",
    "ebooks": "pipelines.ebooks:PIPELINE",
    "exams": "pipelines.exams:PIPELINE",
    "arxiv": "pipelines.arxiv:PIPELINE",
    "interleaved": "pipelines.interleaved:PIPELINE",
    "text": "pipelines.text:PIPELINE",
    "published": "pipelines.published:PIPELINE",
    "webcode": "pipelines.webcode:PIPELINE",
    "charts": "pipelines.charts:PIPELINE",
    "sft": "pipelines.sft:PIPELINE",
}
