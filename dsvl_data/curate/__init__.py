"""Curation: parts in; scores, duplicates and decisions beside them out. Parts are not edited."""
