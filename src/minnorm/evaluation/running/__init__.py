"""Attacks on batches, and the judge of what they return."""
