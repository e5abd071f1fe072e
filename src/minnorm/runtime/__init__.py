"""Where the code runs: devices, the ranks of a distributed run, memory, and provenance."""
