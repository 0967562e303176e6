"""Shards: parts in; tars with their indexes, manifest, data card and statistics out."""
