"""What goes in besides requests, and what comes out."""

from dataclasses import dataclass, field

from pydantic import Field

from stream_guard.campaigns.settings import LinkSettings
from stream_guard.events import AccountUpdate, Alert, Campaign, Decision, Enforcement, Feedback, Release
from stream_guard.policy import AlertSettings, PolicySettings
from stream_guard.settings import Settings

Lesson = Feedback | Release | Enforcement | AccountUpdate
"""What the engine learns from outside, besides requests."""

PUBLIC_MAIL = (
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "yahoo.com", "ymail.com",
    "aol.com", "proton.me", "protonmail.com", "gmx.de", "gmx.net", "web.de", "mail.ru", "yandex.ru", "qq.com", "163.com", "126.com",
    "sina.com", "foxmail.com", "naver.com", "zoho.com", "fastmail.com",
)  # fmt: skip


class EngineSettings(Settings):
    """What the engine can be told."""

    shadow: bool = True
    """Decide, write and count, but tell gateways to act on nobody."""
    accounts_max: int = Field(default=1_000_000, ge=1_000)
    """Accounts that one partition keeps in mind; beyond it the idlest give way."""
    ahead_max_s: float = Field(default=86_400.0, ge=60.0, le=366 * 86_400.0)
    """Seconds that a request may be ahead of those before it; one that is more counts as of now, and moves no clock."""
    public_mail: tuple[str, ...] = PUBLIC_MAIL
    """Mail domains that anybody can have an address at: sharing one joins nobody."""
    baseline: str = "first"
    """Name of what shifts are measured from. A start under a new name takes what is usual then."""
    linking: LinkSettings = LinkSettings()
    """How accounts are linked into campaigns."""
    policy: PolicySettings = PolicySettings()
    """How risk becomes action."""
    alerts: AlertSettings = AlertSettings()
    """How often people are told."""


@dataclass(slots=True)
class Outcome:
    """What came of some input, each list in the order it was made."""

    decisions: list[Decision] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)

    def extend(self, other: "Outcome") -> None:
        """Append all of `other`."""
        self.decisions += other.decisions
        self.alerts += other.alerts
        self.campaigns += other.campaigns
