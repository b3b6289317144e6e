"""`python -m stream_guard` is `stream-guard`."""

from stream_guard.cli import main

main()
