"""The base of every settings model: strict, immutable, refuses what it does not know.

Each part declares its own settings beside its code; `config.py` composes them into one file.
"""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Unknown keys, wrong types and changes after construction are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
