"""One example of everything that the API takes and gives: in the OpenAPI document, in `docs/gateway.md`, in tests."""

import msgspec

from stream_guard.events import (
    AccountFacts,
    AccountView,
    Campaign,
    CampaignView,
    Client,
    Decision,
    Evidence,
    Reason,
    RequestEvent,
    SignalReading,
)
from stream_guard.gateway.backend import Logged
from stream_guard.gateway.replies import (
    Accepted,
    CampaignPage,
    CampaignSummary,
    Check,
    DecisionPage,
    Problem,
    Readiness,
    Refused,
    Word,
)

EVENT = RequestEvent(
    "req_01k2",
    1777000000.25,
    "acct_5d1e",
    "large-4",
    org_id="org_9",
    operation="chat",
    status=200,
    finish_reason="stop",
    system="You are a careful tutor.",
    prompt="Explain step by step why the sky is blue.",
    input_tokens=31,
    output_tokens=412,
    max_tokens=2048,
    temperature=1.0,
    client=Client(
        ip="192.0.2.7", asn=64496, country="NL", user_agent="python-requests/2.32", tls_ja4="t13d1517h2_8daaf61_b0da82d"
    ),
    account=AccountFacts(created_at=1776400000, tier="team", payment_id="pay_77", email_domain="example.org"),
)

DECISION = Decision(
    "de_3f9a6c0e",
    1777003600.0,
    "acct_5d1e",
    "throttle",
    0.93,
    (
        Reason("template_share", 0.88, 0.11, 0.7, "share", "88 % of its requests carry one template; usual is 11 %"),
        Reason("linked_accounts", 41, 0, 0.3, "accounts", "40 other accounts send the same", inference=True),
    ),
    "2026-04-1",
    shadow=False,
    limit_rpm=0.5,
    expires_at=1777090000.0,
    campaign_id="ca_71b2",
    clears_when="a day without requests that carry the template",
)

ACCOUNT = AccountView(
    "acct_5d1e",
    0.93,
    182,
    1776995000.5,
    1777003599.0,
    (SignalReading("request_rate", 26.0, 9.5, 0.61, "1/day"),),
    ("ca_71b2",),
    DECISION,
)

CAMPAIGN = CampaignView(
    Campaign(
        "ca_71b2",
        1777003600.0,
        ("acct_5d1e",),
        41,
        0.97,
        "narrow",
        5210,
        1776995000.5,
        (
            Evidence(
                "template",
                "41 accounts send 'Explain step by step why ...' with other words in it",
                41,
                0.88,
                0.11,
                example_accounts=("acct_5d1e", "acct_77aa"),
            ),
        ),
        models=("large-4",),
    ),
    ("acct_5d1e", "acct_77aa"),
    ((1776999000.0, 12), (1777003600.0, 41)),
)

EXAMPLES: dict[type[msgspec.Struct], msgspec.Struct] = {
    type(example): example
    for example in (
        EVENT,
        DECISION,
        ACCOUNT,
        CAMPAIGN,
        Logged("17", DECISION),
        Check.of(DECISION),
        Accepted(2, (Refused(1, "Expected `str`, got `int` - at `$.account_id`"),)),
        CampaignPage((CampaignSummary.of(CAMPAIGN),), 1),
        DecisionPage((DECISION,), "17"),
        Word("benign", account_id="acct_5d1e", analyst="mira", note="our own evaluation run"),
        Readiness(ready=False, components={"engine": "ok", "journal": "replaying, 60 % done"}),
        Problem("not_found", "no account 'acct_0' was seen here"),
    )
}
