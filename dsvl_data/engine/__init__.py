"""The engine: Ray, partitions, worker processes, parts, the ledger; `run` is its door."""
