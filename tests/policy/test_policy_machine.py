"""Whatever happens in whatever order: what a policy never does."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from stream_guard.events import Feedback
from stream_guard.policy import Assessment, Policy, PolicySettings, Step

PERIOD = 600.0
ON = PolicySettings(
    throttle=Step(enabled=True, enter=0.8, leave=0.5, duration_s=1800.0),
    verify=Step(enabled=True, enter=0.9, leave=0.6, duration_s=1200.0),
    suspend=Step(enabled=True, enter=0.95, leave=0.7, duration_s=1200.0),
    period_s=PERIOD,
    half_life_s=30.0,
    benign_s=3600.0,
    malicious_s=3600.0,
    max_decisions=6,
    min_budget=3.0,
    solo_budget=10_000.0,
    budget_s=3600.0,
    allow_accounts=frozenset({"vip"}),
    allow_orgs=frozenset({"partner"}),
)
ACTIONS = ("allow", "watch", "throttle", "challenge", "degrade", "verify", "suspend")

accounts = st.sampled_from(["vip", *"abcdefgh"])
campaigns = st.sampled_from([None, "c1", "c2"])
risks = st.one_of(st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0]), st.floats(0.0, 1.0))


class PolicyMachine(RuleBasedStateMachine):
    """Assessments, words, time and restarts in any order, in event time that may step back a little."""

    @initialize()
    def start(self):
        self.policy = Policy(ON)
        self.ts = 1_000_000.0
        self.by_id = {}
        self.last = {}
        self.freed = set()

    def took(self, decision, why):
        if decision is None:
            return
        known = self.by_id.setdefault(decision.decision_id, decision)
        assert known == decision, "two decisions with one id"
        assert decision.action == "allow" or decision.account_id not in {"vip", "p"}, (
            "an allowlisted account is acted on"
        )
        assert abs(sum(r.share for r in decision.reasons) - 1.0) < 1e-9
        before = self.last.get(decision.account_id)
        if before is not None and before.expires_at > decision.ts:
            assert decision.supersedes == before.decision_id
            down = ACTIONS.index(decision.action) < ACTIONS.index(before.action)
            withdrawn = before.campaign_id is not None or why != "risk"
            assert not down or withdrawn or decision.ts - before.ts >= PERIOD, "it flaps"
        else:
            assert decision.supersedes is None
            assert decision.action != "allow", "nothing was in force"
        self.last[decision.account_id] = decision

    @rule(account=accounts, solo=risks, campaign=campaigns, risk=risks, late=st.sampled_from([0.0, 0.0, 0.0, 30.0]))
    def assess(self, account, solo, campaign, risk, late):
        self.took(self.policy.decide(Assessment(account, None, self.ts - late, solo, campaign, risk)), "risk")

    @rule(solo=risks, risk=risks)
    def assess_partner(self, solo, risk):
        assert self.policy.decide(Assessment("p", "partner", self.ts, solo, "c1", risk)) is None

    @rule(seconds=st.sampled_from([1.0, 60.0, PERIOD, 1800.0, 7200.0, 90_000.0]))
    def time_passes(self, seconds):
        self.ts += seconds

    @rule()
    def advance(self):
        for ended in self.policy.advance(self.ts):
            assert ended.expires_at <= self.ts
            assert self.last[ended.account_id] == ended

    @rule(account=accounts, label=st.sampled_from(["malicious", "benign"]))
    def word_on_account(self, account, label):
        for decision in self.policy.learn(Feedback(self.ts, label, account_id=account)):
            self.took(decision, "word")

    @rule(campaign=st.sampled_from(["c1", "c2"]), label=st.sampled_from(["malicious", "benign"]))
    def word_on_campaign(self, campaign, label):
        for decision in self.policy.learn(Feedback(self.ts, label, campaign_id=campaign)):
            self.took(decision, "word")

    @rule()
    def restart(self):
        state = self.policy.snapshot()
        self.policy = Policy(ON)
        self.policy.restore(state)
        assert self.policy.snapshot() == state

    @rule(account=accounts, solo=risks, campaign=campaigns, risk=risks)
    def crash_and_repeat(self, account, solo, campaign, risk):
        before = self.policy.snapshot()
        assessed = Assessment(account, None, self.ts, solo, campaign, risk)
        first = self.policy.decide(assessed)
        self.policy = Policy(ON)
        self.policy.restore(before)
        again = self.policy.decide(assessed)
        assert again == first
        self.took(again, "risk")

    @invariant()
    def in_force_is_the_last_decision(self):
        if not hasattr(self, "policy"):
            return
        assert len(self.policy) <= ON.max_decisions
        assert 0.0 <= self.policy.budgets(0)["solo"].spent <= ON.min_budget
        for account, last in self.last.items():
            held = self.policy.check(account, self.ts)
            if last.action == "allow" or last.expires_at <= self.ts:
                assert held is None
            elif held is not None or last.action != "watch":  # watches may give way where there is no room
                assert held == last


PolicyMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_policy = PolicyMachine.TestCase
