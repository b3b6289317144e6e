"""The population half: sees compact reports of all account halves and links accounts into campaigns."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from stream_guard.campaigns import judge
from stream_guard.campaigns.reasoning import ReasoningJoin
from stream_guard.campaigns.registry import Registry
from stream_guard.campaigns.report import Report, unpack
from stream_guard.campaigns.twins import Twins
from stream_guard.campaigns.window import Window
from stream_guard.engine.baseline import GROUPS_WORTH, PopulationBaseline
from stream_guard.engine.clock import EventClock
from stream_guard.engine.outcome import EngineSettings, Lesson, Outcome
from stream_guard.engine.state import seal, unseal
from stream_guard.engine.teaching import ClusterTeacher
from stream_guard.engine.verdicts import Verdict, pack_verdict
from stream_guard.errors import SnapshotError
from stream_guard.events import Campaign, CampaignView, Enforcement, Feedback, Release
from stream_guard.policy import Alerts, reasons_of

REPORTS_PATIENCE = 8
"""So many reports in a row that are far ahead move the clock."""


class PopulationHalf:
    """The population half: one active instance over all partitions.

    It looks at the whole window (a *pass*) when enough new sightings have come, which the reports alone decide.
    """

    def __init__(self, settings: EngineSettings | None = None) -> None:
        self.settings = settings or EngineSettings()
        linking = self.settings.linking
        self._window = Window(linking)
        self._teacher = ClusterTeacher(linking.convict)
        self._joins = ReasoningJoin(linking.items_max)
        self._twins = Twins(linking.accounts_max)
        self._alerts = Alerts(self.settings.alerts)
        self._registry = Registry(linking, self._alerts.describe)
        self._heard: dict[int, tuple[int, float]] = {}  # partition -> serial and time of its last report
        self._fresh = 0  # sightings since the last look at all of them
        self._unseen = 0  # sightings since the last glance at what is new
        self._time = EventClock(self.settings.ahead_max_s, REPORTS_PATIENCE)
        self._looked = 0.0
        self._verdicts: list[bytes] = []

    def process(self, report: bytes) -> Outcome:
        """Take what `AccountHalf.take_report` gave; returns campaigns and alerts. Seen twice, it changes nothing.

        Raises ValueError if it is no report.
        """
        return self.process_reports([unpack(raw) for raw in msgspec.msgpack.decode(report, type=list[bytes])])

    def process_reports(self, reports: Sequence[Report]) -> Outcome:
        """Do as `process` for what `AccountHalf.take_reports` gave."""
        out = Outcome()
        for news in reports:
            serial, ts = self._heard.get(news.partition, (0, 0.0))
            if news.serial <= serial and news.ts <= ts:
                continue  # seen; a half that lost its state counts from 1 again, and is new once it is where it was
            self._heard[news.partition] = news.serial, news.ts
            if self._window.is_full(len(news.accounts)):
                forgotten = self._window.forget(len(news.accounts), self._registry.rows()).tolist()
                self._registry.forget(forgotten)
                self._joins.forget(forgotten)
                self._twins.forget(forgotten)
            self._window.take(news)
            rows = [self._window.rows[name] for name in news.accounts]
            self._joins.see(((rows[place], item, talk) for place, item, talk in news.items), self._window)
            self._twins.take(np.array(rows, np.int64)[news.twin_accounts], news.twins)
            self._fresh += len(news.sightings)
            self._unseen += len(news.sightings)
            self._time.see_one(news.ts)
            linking = self.settings.linking
            if self._fresh >= max(linking.pass_sightings_min, linking.pass_share * len(self._window.held())):
                self._look(out)
            elif self._unseen >= linking.glance_sightings:
                since, self._unseen = self._window.taken - self._unseen, 0
                changes, begun = self._registry.glance(self._window, since, self._time.now)
                self._tell(changes, out)
                if begun:
                    self._look(out)
        return out

    def _look(self, out: Outcome) -> None:
        self._fresh, self._unseen, self._looked = 0, 0, self._time.now
        self._tell(self._registry.update(self._window, self._joins, self._twins, self._time.now), out)

    def _tell(self, changes: list[Campaign], out: Outcome) -> None:
        for campaign in changes:
            out.campaigns.append(campaign)
            self._verdicts.append(pack_verdict(self._verdict(campaign)))
            alert = self._alerts.of_campaign(campaign)
            if alert is not None:
                out.alerts.append(alert)

    def _verdict(self, campaign: Campaign) -> Verdict:
        risks = self._registry.risks(campaign, self._window)
        members = tuple((account, risk, honest) for account, (risk, honest) in risks.items())
        return Verdict(campaign.campaign_id, campaign.ts, members, campaign.removed, reasons_of(campaign))

    def advance(self, ts: float) -> Outcome:
        """Say that event time has reached `ts`: what has come but was not looked at is, once a minute."""
        out = Outcome()
        self._time.advance(ts)
        if self._fresh and ts >= self._looked + self.settings.linking.pass_s:
            self._look(out)
        return out

    def learn(self, lesson: Lesson) -> Outcome:
        """Take one record from outside.

        An analyst's word on a campaign teaches the judge, and may end it; releases and what others did about accounts
        are what campaigns are told by that change models or accounts after it.
        """
        out = Outcome()
        if isinstance(lesson, Release):
            self._registry.released(lesson)
        elif isinstance(lesson, Enforcement):
            self._registry.acted_on(lesson.account_id, lesson.ts)
        if isinstance(lesson, Feedback) and lesson.campaign_id is not None:
            now = self._time.now or lesson.ts
            features, changes = self._registry.hear(lesson.campaign_id, lesson.label, self._window, now)
            if features is not None:
                self._teacher.learn(features, malicious=lesson.label == "malicious")
                self._registry.words.weights = self._teacher.weights
            self._tell(changes, out)
        return out

    def learnt(self) -> PopulationBaseline:
        """Return what is usual of groups of accounts here."""
        now = self._registry.linker.now
        return PopulationBaseline(
            crowds=dict(zip(judge.FEATURES, now.features.tolist(), strict=True)), groups=int(now.worth)
        )

    def begin_with(self, baseline: PopulationBaseline) -> None:
        """Begin with what is usual elsewhere, before the first report; a snapshot taken up later knows better."""
        if baseline.groups:
            shipped = dict(zip(judge.FEATURES, judge.USUAL.tolist(), strict=True))
            usual = np.array([baseline.crowds.get(name, value) for name, value in shipped.items()])
            self._registry.linker.before = judge.Ordinary(usual, min(GROUPS_WORTH, baseline.groups))

    def take_verdicts(self) -> list[bytes]:
        """Return the verdicts since the last call, for every account half; forgets them."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def campaigns(self) -> list[CampaignView]:
        """Return all campaigns held, newest change first."""
        return sorted(self._registry.views.values(), key=lambda view: -view.campaign.ts)

    def campaign(self, campaign_id: str) -> CampaignView | None:
        """Return one campaign, or None."""
        return self._registry.views.get(campaign_id)

    def snapshot(self) -> bytes:
        """Return the whole state."""
        state: dict[str, Any] = {
            "kind": "population half",
            "window": self._window.dump(),
            "registry": self._registry.dump(),
            "teacher": self._teacher.snapshot(),
            "joins": self._joins.dump(),
            "twins": self._twins.dump(),
            "alerts": self._alerts.snapshot(),
            "heard": {str(p): heard for p, heard in self._heard.items()},
            "fresh": self._fresh,
            "unseen": self._unseen,
            "time": self._time.dump(),
            "looked": self._looked,
            "verdicts": self._verdicts,
        }
        return seal(state)

    def restore(self, state: bytes) -> None:
        """Take up a snapshot. Raises SnapshotError."""
        saved = unseal(state, "population half")
        try:
            self._window.load(saved["window"])
            self._registry.load(saved["registry"])
            self._teacher.restore(saved["teacher"])
            self._registry.words.weights = self._teacher.weights
            self._joins.load(saved["joins"])
            self._twins.load(saved["twins"])
            self._alerts.restore(saved["alerts"])
            self._heard = {int(p): (serial, ts) for p, (serial, ts) in saved["heard"].items()}
            self._fresh, self._unseen, self._looked = saved["fresh"], saved["unseen"], saved["looked"]
            self._verdicts = list(saved["verdicts"])
            self._time.load(saved["time"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise SnapshotError(f"the state of the population half does not fit: {error}") from error
