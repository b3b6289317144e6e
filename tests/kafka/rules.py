"""A worker whose halves follow rules so simple that a test knows every record to come.

Real worker, real broker; only the judgement is a fake.

- every tenth request of an account is a decision `tenth-ACCOUNT-COUNT`;
- a third account that sends the same prompt makes a campaign `campaign-PROMPT`; later ones join it;
- a verdict makes a decision `campaign-PROMPT-ACCOUNT` about each of its accounts that the half knows, and none about
  others: a verdict that came before the events would be lost;
- feedback on an account that the half knows is a decision `feedback-ACCOUNT`; facts raise the risk of later decisions.
"""

import logging
import os
from pathlib import Path

import msgspec

from stream_guard.app.kafka import make_worker
from stream_guard.config import load
from stream_guard.engine import Outcome
from stream_guard.events import AccountUpdate, AccountView, Alert, Campaign, Decision, Feedback

TS = 1_777_000_000.0


def decision(name, account, ts=TS, campaign=None, risk=0.5):
    return Decision(name, ts, account, "watch", risk, (), "rules", shadow=True, campaign_id=campaign)


class AccountRules:
    def __init__(self, partition):
        self.partition = partition
        self.counts = {}
        self.prompts = {}
        self.facts = []
        self.now = 0.0

    def process(self, events):
        out = Outcome()
        for e in events:
            self.now = max(self.now, e.ts)
            count = self.counts[e.account_id] = self.counts.get(e.account_id, 0) + 1
            self.prompts.setdefault(e.account_id, e.prompt)
            if count % 10 == 0:
                risk = 0.9 if e.account_id in self.facts else 0.5
                out.decisions.append(decision(f"tenth-{e.account_id}-{count}", e.account_id, e.ts, risk=risk))
        return out

    def advance(self, ts):
        return Outcome()

    def learn(self, lesson):
        out = Outcome()
        if isinstance(lesson, AccountUpdate):
            self.facts.append(lesson.account_id)
        elif isinstance(lesson, Feedback) and lesson.account_id in self.counts:
            out.decisions.append(decision(f"feedback-{lesson.account_id}", lesson.account_id))
        return out

    def take_report(self):
        prompts, self.prompts = self.prompts, {}
        return msgspec.json.encode(prompts) if prompts else None

    def apply_verdict(self, verdict):
        prompt, accounts = msgspec.json.decode(verdict)
        known = [account for account in accounts if account in self.counts]
        name = f"campaign-{prompt}"
        return Outcome([decision(f"{name}-{account}", account, campaign=name) for account in known])

    def account(self, account_id):
        count = self.counts.get(account_id)
        return AccountView(account_id, 0.1, count, TS, TS, ()) if count else None

    def check(self, account_id, ts):
        return None

    def campaigns(self):
        return []

    @property
    def accounts_held(self):
        return len(self.counts)

    def snapshot(self):
        return msgspec.json.encode([self.counts, self.prompts, self.facts])

    def restore(self, state):
        self.counts, self.prompts, self.facts = msgspec.json.decode(state)


class PopulationRules:
    def __init__(self):
        self.members = {}
        self.verdicts = []

    def process(self, report):
        out = Outcome()
        for account, prompt in msgspec.json.decode(report).items():
            members = self.members.setdefault(prompt, [])
            if account in members:
                continue
            members.append(account)
            if len(members) >= 3:
                added = members if len(members) == 3 else [account]
                name = f"campaign-{prompt}"
                out.campaigns.append(Campaign(name, TS, tuple(added), len(members), 0.9, "narrow", len(members), TS))
                self.verdicts.append(msgspec.json.encode([prompt, added]))
                if len(members) == 3:
                    out.alerts.append(Alert(name, TS, "critical", "campaign", name, campaign_id=name))
        return out

    def learn(self, lesson):
        return Outcome()

    def advance(self, ts):
        return Outcome()

    def take_verdicts(self):
        verdicts, self.verdicts = self.verdicts, []
        return verdicts

    def campaigns(self):
        return []

    def campaign(self, campaign_id):
        return None

    def snapshot(self):
        return msgspec.json.encode(self.members)

    def restore(self, state):
        self.members = msgspec.json.decode(state)


def main(config, halves, log):
    """Be a worker: what it says goes to the file `log`."""
    with Path(log).open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    make_worker(load(Path(config)).kafka, AccountRules, PopulationRules, halves=halves.split(",")).run()
