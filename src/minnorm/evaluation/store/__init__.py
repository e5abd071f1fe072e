"""What a run directory holds: how it is written, continued, and read again."""
