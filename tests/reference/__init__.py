"""Naive transcriptions of the papers: one sample at a time, slow and obvious."""
