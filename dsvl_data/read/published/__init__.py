"""Readers of published data sets: one small declaration each, by category."""
