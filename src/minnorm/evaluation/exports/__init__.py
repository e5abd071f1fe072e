"""Adversarials of a run as files for other programs, and images that are verified."""
