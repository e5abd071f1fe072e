"""Decisions: two runs compared, and requirements that a run meets or not."""
