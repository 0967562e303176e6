"""Stages, streaming, packing, the loop, evaluation: from shards to a trained model."""
