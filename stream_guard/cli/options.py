"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="STREAM_GUARD_CONFIG",
        metavar="FILE",
        help="Settings in YAML; `stream-guard config default` explains them. Without it: the defaults.",
    ),
]
"""`--config FILE`; give it to `stream_guard.config.load`."""
