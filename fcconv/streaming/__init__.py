"""Scores windows of a recording that has no end, chunk by chunk, each sample computed once."""
