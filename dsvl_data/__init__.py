"""dsvl-data: data construction for vision-language models.

This package is the library: record types, engine, readers, renderers, shards and the
command line. What is particular to one kind of data lives in `pipelines`.
"""

__version__ = "0.1.0"
