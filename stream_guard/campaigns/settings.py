"""How accounts are linked into campaigns: what an operator can set."""

from typing import Annotated

from pydantic import Field, model_validator

from stream_guard.settings import Settings

Places = Annotated[int, Field(ge=1 << 12, le=1 << 30)]


class LinkSettings(Settings):
    """How accounts are linked into campaigns."""

    convict: float = 4.0
    """Log odds from which a cluster is a campaign."""
    convict_broad: float = Field(default=3.0, ge=-50, le=50)
    """The same of a cluster that shares several texts, each shown by other accounts."""
    convict_twins: float = Field(default=4.0, ge=-50, le=50)
    """Log odds from which accounts that ask alike, without a text in common, are a campaign."""
    suspect: float = 2.0
    """Log odds from which a group of fingerprints may begin or join a cluster."""
    accounts_min: int = 5
    """Accounts that a campaign has at least."""
    one_customer: float = 0.8
    """Share of accounts with one organisation or one mail domain of its own from which a cluster is one customer."""
    sightings_max: Annotated[int, Field(ge=1_024, le=1 << 28)] = 200_000
    """Requests that the population half looks back on."""
    accounts_max: Annotated[int, Field(ge=2_048, le=1 << 30)] = 1_000_000
    """Accounts that the population half keeps in mind, at least twice `sightings_max`; beyond it the idlest give way that
    are in no campaign."""
    systems_max: Annotated[int, Field(ge=1_024, le=1 << 28)] = 65_536
    """System texts whose fingerprints are kept; beyond it those not seen for longest give way."""
    promoted_max: Places = 1 << 20
    """Places for fingerprints that several accounts share; a power of two."""
    first_sights: Places = 1 << 19
    """Places for fingerprints seen once; a power of two."""
    items_max: Annotated[int, Field(ge=1, le=1 << 28)] = 500_000
    """Reasoning items whose first account is remembered."""
    pass_sightings_min: int = 64
    """New sightings that start a look at the whole window, at least ..."""
    pass_share: float = 0.07
    """... or this share of the window, whichever is more."""
    glance_sightings: Annotated[int, Field(ge=1, le=1 << 20)] = 32
    """New sightings that start a glance at what they show; if that begins a campaign, all of the window is looked at."""
    pass_s: float = 60.0
    """Seconds after which what has come is looked at even if it is little, in quiet times."""
    idle_days: float = 14.0
    """A member that was not seen for so long leaves; a campaign without members ends."""
    gone_days: float = Field(default=3.0, gt=0, le=366)
    """A member that goes on sending leaves after so long without anything that carries the campaign."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> "LinkSettings":
        for name in ("promoted_max", "first_sights"):
            if (size := getattr(self, name)) & (size - 1):
                raise ValueError(f"{name} ({size}) must be a power of two")
        if self.accounts_max < 2 * self.sightings_max:
            raise ValueError(
                f"accounts_max ({self.accounts_max}) must be at least twice sightings_max ({self.sightings_max})"
            )
        return self
