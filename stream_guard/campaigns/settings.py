"""How accounts are linked into campaigns: what an operator can set."""

from stream_guard.settings import Settings


class LinkSettings(Settings):
    """How accounts are linked into campaigns."""

    convict: float = 4.0
    """Log odds from which a cluster is a campaign."""
    suspect: float = 2.0
    """Log odds from which a group of fingerprints may begin or join a cluster."""
    accounts_min: int = 5
    """Accounts that a campaign has at least."""
    one_customer: float = 0.8
    """Share of accounts with one organisation or one mail domain of its own from which a cluster is one customer."""
    sightings_max: int = 262_144
    """Requests that the population half looks back on."""
    promoted_max: int = 1 << 20
    """Places for fingerprints that several accounts share; a power of two."""
    first_sights: int = 1 << 20
    """Places for fingerprints seen once; a power of two."""
    items_max: int = 500_000
    """Reasoning items whose first account is remembered."""
    pass_sightings_min: int = 128
    """New sightings that start a look at the whole window, at least ..."""
    pass_share: float = 0.05
    """... or this share of the window, whichever is more."""
    pass_s: float = 60.0
    """Seconds after which what has come is looked at even if it is little, in quiet times."""
    idle_days: float = 14.0
    """A member that was not seen for so long leaves; a campaign without members ends."""
