"""The index of conversations: one row each, without payload, between classifying and balancing.

`dsvl-data taxonomy classify OUT` writes `OUT/taxonomy/index/part-*.parquet` of this schema;
balance, report and eval-set read it.
"""

from __future__ import annotations

import pyarrow as pa

#: Below an output folder.
INDEX_FOLDER = "taxonomy/index"

INDEX_SCHEMA = pa.schema(
    [
        ("key", pa.string()),  # of the sample
        ("source", pa.string()),  # its data set
        ("category", pa.string()),  # an SFT class
        ("language", pa.string()),
        ("taxonomy", pa.string()),  # path of a leaf; null: not sure enough
        ("nearest", pa.string()),  # the deepest category that is sure enough; null: none
        ("confidence", pa.float32()),  # that the best leaf is right, 0 to 1
        ("images", pa.list_(pa.string())),  # hashes of the images' bytes
        ("text_hash", pa.string()),  # of all questions and answers, letters and digits alone
        ("cluster", pa.uint64()),  # equal for near-duplicate texts
        ("tokens", pa.int64()),  # of text and images, as the shards count them
        ("part", pa.string()),  # where the payload lies, below OUT
    ]
)
