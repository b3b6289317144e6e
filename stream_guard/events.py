"""The records: what comes in, what goes out. Plain structs, no behaviour.

All times (`ts`, `expires_at`, `created_at`, `first_seen`) are seconds since 1970 in UTC; events carry their own (event
time). A missing optional field weakens signals and never breaks them. JSON on topics, files and HTTP alike is exactly
these fields (`codecs.py`).
"""

from typing import Literal

import msgspec

Action = Literal["allow", "watch", "throttle", "challenge", "degrade", "verify", "suspend"]
"""What a gateway is told to do; in the order of severity."""

Severity = Literal["info", "warning", "critical"]
Shape = Literal["narrow", "relay", "solo"]
"""narrow: one template times many slots; relay: strangers' traffic with a fixed sub-prompt; solo: one account."""


class Client(msgspec.Struct, frozen=True, gc=False):
    """Where a request came from."""

    ip: str | None = None
    asn: int | None = None
    country: str | None = None
    user_agent: str | None = None
    tls_ja4: str | None = None


class AccountFacts(msgspec.Struct, frozen=True, gc=False):
    """What the provider knows of an account. `entitlement` is in tokens a day."""

    created_at: float | None = None
    tier: str | None = None
    payment_id: str | None = None
    email_domain: str | None = None
    pathway: str | None = None
    entitlement: float | None = None


class RequestEvent(msgspec.Struct, frozen=True, gc=False):
    """One observed API request (`llm.requests`). Only the first four fields are required.

    `sketch` stands in for `system` and `prompt` where text must not leave the gateway (base64, see `sketch.py`).
    """

    event_id: str
    ts: float
    account_id: str
    model: str
    org_id: str | None = None
    api_key_id: str | None = None
    operation: str | None = None
    conversation_id: str | None = None
    turn: int | None = None
    status: int | None = None
    finish_reason: str | None = None
    stream: bool | None = None
    system: str | None = None
    prompt: str | None = None
    sketch: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    logprobs: bool | None = None
    tools: bool | None = None
    reasoning_refs: tuple[str, ...] = ()
    harness: str | None = None
    client: Client | None = None
    account: AccountFacts | None = None


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One signal's part in a judgement.

    `observed` and `usual` are in `unit`; `share` is how much of the risk it carries (shares of one judgement sum to 1);
    `inference` is false for what was counted and true for what was concluded.
    """

    signal: str
    observed: float
    usual: float
    share: float
    unit: str = ""
    text: str = ""
    inference: bool = False


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gateway should do about an account, from `ts` until `expires_at` or the next decision.

    `decision_id` is a hash of what it is about: the same decision made twice has the same id. `limit_rpm` is the
    requests a minute a throttle lets through; below one it is a fraction (0.01: one in a hundred minutes).
    """

    decision_id: str
    ts: float
    account_id: str
    action: Action
    risk: float
    reasons: tuple[Reason, ...]
    policy_version: str
    shadow: bool
    limit_rpm: float | None = None
    expires_at: float | None = None
    campaign_id: str | None = None
    supersedes: str | None = None
    clears_when: str = ""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that joins the accounts of a campaign, that a person can check.

    `kind` is one of template, skeleton, twin, infrastructure, reasoning, injection, succession; `accounts` counts the
    members that show it; `example_accounts` names a handful.
    """

    kind: str
    text: str
    accounts: int
    value: float
    usual: float = 0.0
    inference: bool = False
    example_accounts: tuple[str, ...] = ()


class Campaign(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of a campaign: accounts that belong to it from `ts` on, and those that no longer do."""

    campaign_id: str
    ts: float
    accounts: tuple[str, ...]
    size: int
    risk: float
    shape: Shape
    exchanges: int
    first_seen: float
    evidence: tuple[Evidence, ...] = ()
    removed: tuple[str, ...] = ()
    parent_ids: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    indicators: tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notice for people. `atlas` holds MITRE ATLAS ids, `indicators` those of AA26-251A."""

    alert_id: str
    ts: float
    severity: Severity
    kind: str
    summary: str
    reasons: tuple[Reason, ...] = ()
    account_id: str | None = None
    campaign_id: str | None = None
    atlas: tuple[str, ...] = ()
    indicators: tuple[str, ...] = ()
    clears_when: str = ""
    links: tuple[str, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payload that could not be decoded. `payload` is its text (base64 if it is not UTF-8), cut at a limit."""

    reason: str
    source: str
    payload: str
    partition: int | None = None
    offset: int | None = None
    encoding: Literal["utf8", "base64"] = "utf8"
    payload_bytes: int = 0


class Feedback(msgspec.Struct, frozen=True):
    """An analyst's word on an account or a campaign (`stream-guard.feedback`)."""

    ts: float
    label: Literal["malicious", "benign"]
    account_id: str | None = None
    campaign_id: str | None = None
    analyst: str = ""
    note: str = ""


class Release(msgspec.Struct, frozen=True):
    """A model became available (`stream-guard.releases`)."""

    ts: float
    model: str
    replaces: str | None = None


class Enforcement(msgspec.Struct, frozen=True):
    """What somebody else did about an account (`stream-guard.enforcement`), such as a ban."""

    ts: float
    account_id: str
    action: str


class AccountUpdate(msgspec.Struct, frozen=True):
    """Facts of one account (`stream-guard.accounts`, compacted), joined to its requests."""

    account_id: str
    facts: AccountFacts
    org_id: str | None = None


class SignalReading(msgspec.Struct, frozen=True):
    """One signal of one account now: the value, what is usual in the population, how unusual it is (0..1), its unit."""

    signal: str
    observed: float
    usual: float
    score: float
    unit: str


class AccountView(msgspec.Struct, frozen=True):
    """What is known of an account: answers `GET /v1/accounts/{id}`."""

    account_id: str
    risk: float
    requests: int
    first_seen: float
    last_seen: float
    signals: tuple[SignalReading, ...]
    campaign_ids: tuple[str, ...] = ()
    decision: Decision | None = None
    allowlisted: bool = False


class CampaignView(msgspec.Struct, frozen=True):
    """A campaign as it stands: its last record with all of its present members, and how it grew (ts, size)."""

    campaign: Campaign
    accounts: tuple[str, ...]
    growth: tuple[tuple[float, int], ...] = ()
