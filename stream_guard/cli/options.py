"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stream_guard.engine import PopulationBaseline

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

BaselineOption = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="What is usual elsewhere, to begin with where there is no state yet: from `stream-guard baseline export` or "
        "`replay --save-baseline`.",
    ),
]
"""`--baseline FILE`; give it to `loaded_baseline`."""


def loaded_baseline(path: Path | None) -> "PopulationBaseline | None":
    """Return the baseline that was asked for, if one was. Raises SnapshotError."""
    if path is None:
        return None
    from stream_guard.app.baseline import load

    return load(path)
