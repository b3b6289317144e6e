"""The records: what comes in, what goes out. Plain structs, no behaviour.

All times (`ts`, `expires_at`, `created_at`, `first_seen`) are seconds since 1970 in UTC; events carry their own (event
time). A missing optional field weakens signals and never breaks them. JSON on topics, files and HTTP alike is exactly
these fields (`codecs.py`). The bounds in the types are what decoding checks.
"""

from typing import Annotated, Literal

import msgspec

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""A name that records are joined by; never empty, printable."""

TIME_MAX = 4_102_444_800
"""The year 2100: milliseconds taken for seconds are refused."""

Time = Annotated[float, msgspec.Meta(ge=0, le=TIME_MAX)]
"""Seconds since 1970. May come in as RFC 3339."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Tokens, turns, answers: fits 32 bits."""

Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
"""A measured value: finite, and so far from the largest float that sums and squares of it stay finite."""

Action = Literal["allow", "watch", "throttle", "challenge", "degrade", "verify", "suspend"]
"""What a gateway is told to do; in the order of severity."""

Severity = Literal["info", "warning", "critical"]
Shape = Literal["narrow", "relay", "solo"]
"""narrow: one template times many slots; relay: strangers' traffic with a fixed sub-prompt; solo: one account."""


class Client(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """Where a request came from."""

    ip: str | None = None
    asn: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    country: str | None = None
    user_agent: str | None = None
    tls_ja4: str | None = None


class AccountFacts(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What the provider knows of an account. `entitlement` is in tokens a day."""

    created_at: Time | None = None
    tier: str | None = None
    payment_id: str | None = None
    email_domain: str | None = None
    pathway: str | None = None
    entitlement: Number | None = None


class RequestEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """One observed API request (`llm.requests`). Only the first four fields are required.

    `sketch` stands in for `prompt` where text must not leave the gateway (base64, see `sketch.encode`). What a
    gateway sends beyond these fields is ignored by `codecs.py`; the struct itself refuses it, which is what lets most
    payloads be decoded without a second look.
    """

    event_id: Id
    ts: Time
    account_id: Id
    model: Id
    org_id: str | None = None
    api_key_id: str | None = None
    operation: str | None = None
    conversation_id: str | None = None
    turn: Count | None = None
    status: Count | None = None
    finish_reason: str | None = None
    stream: bool | None = None
    system: str | None = None
    prompt: str | None = None
    sketch: str | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    max_tokens: Count | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    n: Count | None = None
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
    """One thing that joins the accounts of a campaign or tells them from others, that a person can check.

    `kind` is a word of `campaigns.evidence`, or the signal of a campaign of one; `accounts` counts the members that show
    it; `inference` is false for what was counted and true for what was concluded; `since` is the date that it is about,
    if it is about one; `example_accounts` names a handful.
    """

    kind: str
    text: str
    accounts: int
    value: float
    usual: float = 0.0
    inference: bool = False
    example_accounts: tuple[str, ...] = ()
    since: float | None = None


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """An account of a campaign: linked at `since` by evidence of this `kind`.

    `share` of its requests carry the campaign, as far as they were seen: the first at `first_seen`, the last at
    `last_seen`. `pool` is 2 where it took over from accounts that fell silent, 3 where it took over from those.
    `doubtful` ones may be bystanders: they are watched, not acted upon.
    """

    account_id: str
    since: float
    kind: str
    share: float
    first_seen: float
    last_seen: float
    pool: int = 1
    doubtful: bool = False


class Campaign(msgspec.Struct, frozen=True, omit_defaults=True):
    """A change of a campaign: accounts that belong to it from `ts` on, those that no longer do, or news about it.

    `exchanges` counts the requests of its accounts that carry it, `share` how much that is of all that they send; of
    accounts that send much a sample is looked at, so both are estimates. `members` are the `accounts`, each with when and
    why it was linked. `parent_ids` are the campaigns that it came out of: merged into it, split, or succeeded.
    """

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
    atlas: tuple[str, ...] = ()
    share: float = 1.0
    members: tuple[Member, ...] = ()
    summary: str = ""
    clears_when: str = ""


class Alert(msgspec.Struct, frozen=True, omit_defaults=True):
    """A notice for people. `atlas` holds MITRE ATLAS ids, `indicators` those of AA26-251A.

    `reasons` say of each whether it was counted or concluded; `example_accounts` names a handful to look at.
    """

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
    example_accounts: tuple[str, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A payload that could not be decoded. `payload` is its text (base64 if it is not UTF-8), cut at a limit."""

    reason: str
    source: str
    payload: str
    partition: int | None = None
    offset: int | None = None
    encoding: Literal["utf8", "base64"] = "utf8"
    payload_bytes: int = 0


class Feedback(msgspec.Struct, frozen=True, omit_defaults=True):
    """An analyst's word on an account or a campaign (`stream-guard.feedback`)."""

    ts: Time
    label: Literal["malicious", "benign"]
    account_id: Id | None = None
    campaign_id: Id | None = None
    analyst: str = ""
    note: str = ""


class Release(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model became available (`stream-guard.releases`)."""

    ts: Time
    model: Id
    replaces: str | None = None


class Enforcement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody else did about an account (`stream-guard.enforcement`), such as a ban."""

    ts: Time
    account_id: Id
    action: str


class AccountUpdate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts of one account (`stream-guard.accounts`, compacted), joined to its requests."""

    account_id: Id
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
    members: tuple[Member, ...] = ()
