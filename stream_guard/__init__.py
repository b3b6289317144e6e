"""stream_guard finds coordinated model extraction in live LLM API traffic.

Request events come in; campaigns, alerts and rate-limit decisions go out. `README.md` says how to use it and
`docs/architecture.md` how it is built.
"""

__version__ = "0.1.0"
