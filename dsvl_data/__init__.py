"""dsvl-data: data construction for vision-language models.

This package is the library: record types, engine, readers, renderers, shards and the
command line. What is particular to one kind of data lives in `pipelines`.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

# `import pymupdf` loads these where they are installed, and they come with it: neural networks
# that analyse layouts, which nobody here asks for, and which cost every worker process 57 MB and
# two seconds. None makes the import fail, which PyMuPDF takes for their absence.
for _name in ("pymupdf.layout", "pymupdf4llm"):
    sys.modules.setdefault(_name, None)  # type: ignore[arg-type]

# nougat-ocr installs its scripts as modules, one of them named `train`; ours is the room beside
# this package, which an editable install puts behind them.
_ROOMS = str(Path(__file__).resolve().parent.parent)
for _place, _entry in enumerate(sys.path):
    if _entry != _ROOMS and (Path(_entry) / "train.py").is_file():
        sys.path.insert(_place, _ROOMS)
        break
