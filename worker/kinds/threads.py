"""How many threads a stream compresses with."""

COMPRESSION_THREADS = 2
