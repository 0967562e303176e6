"""dsvl-data: data construction for vision-language models.

This package is the library: record types, engine, readers, renderers, shards and the
command line. What is particular to one kind of data lives in `pipelines`.
"""

import sys

__version__ = "0.1.0"

# `import pymupdf` loads these where they are installed, and they come with it: neural networks
# that analyse layouts, which nobody here asks for, and which cost every worker process 57 MB and
# two seconds. None makes the import fail, which PyMuPDF takes for their absence.
for _name in ("pymupdf.layout", "pymupdf4llm"):
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]
