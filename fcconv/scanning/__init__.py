"""Scanning: the scores of every window of an image of any size, tile by tile."""
