"""How the demo looks: one screen on a terminal, plain lines without one, and the summary at the end."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stream_guard.events import CampaignView, Decision, Reason

if TYPE_CHECKING:
    from stream_guard.app.demo import Demo

_BARS = "▁▂▃▄▅▆▇█"
_FIXED_LINES = 11
"""Lines of the screen besides evidence and decisions."""


def sparkline(values: Sequence[float], width: int, most: float | None = None) -> str:
    """Draw values as bars, the newest on the right, squeezed into at most `width` characters.

    >>> sparkline([0, 1, 2, 4], 8)
    '▁▃▅█'
    >>> sparkline(range(100), 4)
    '▃▄▆█'
    """
    if not values or width < 1:
        return ""
    if len(values) > width:
        ends = [round((i + 1) * len(values) / width) for i in range(width)]
        values = [values[end - 1] for end in ends]
    top = most or max(values) or 1
    return "".join(_BARS[min(7, max(0, round(value / top * 7)))] for value in values)


def clock(demo: "Demo") -> str:
    """Return the simulated time in words."""
    passed = demo.clock - demo.plan.scenario.start
    return f"day {int(passed // 86_400) + 1}, {datetime.fromtimestamp(demo.clock, UTC):%H:%M}"


def duration(seconds: float) -> str:
    """Return a length of time in words.

    >>> duration(7_260), duration(90_000)
    ('2 h 1 min', '1 d 1 h')
    """
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def share(part: float, whole: float) -> str:
    """Return a share as a percentage.

    >>> share(1, 3), share(1, 4000), share(0, 0)
    ('33 %', '0.025 %', '0 %')
    """
    percent = 100 * part / whole if whole else 0.0
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.2g} %"


def action(decision: Decision) -> str:
    """Return what a decision does, in words."""
    if decision.action != "throttle" or decision.limit_rpm is None:
        return decision.action
    if decision.limit_rpm >= 1:
        return f"throttle {decision.limit_rpm:g}/min"
    per_hour = decision.limit_rpm * 60
    return f"throttle {per_hour:.2g}/h" if per_hour >= 1 else f"throttle {per_hour * 24:.2g}/day"


def why(decision: Decision) -> str:
    """Return the reasons of a decision, the weightiest first."""
    reasons = sorted(decision.reasons, key=lambda reason: -reason.share)
    return "; ".join(_reason(reason) for reason in reasons[:3])


def _reason(reason: Reason) -> str:
    if reason.text:
        return reason.text
    return f"{reason.signal.replace('_', ' ')} {reason.observed:.3g} {reason.unit}, usual {reason.usual:.3g}".replace(
        " ,", ","
    )


class Screen:
    """The demo as one screen of the height and width that there is."""

    def __init__(self, demo: "Demo") -> None:
        self._demo = demo

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        width, height = options.max_width, options.height or console.size.height
        spare = max(2, height - _FIXED_LINES)
        evidence = min(5, max(1, spare // 3))
        yield from self._traffic(width)
        yield from self._campaign(width, evidence)
        yield from self._decisions(spare - evidence)
        yield from self._honest()

    def _traffic(self, width: int) -> Iterable[Text | Rule]:
        demo, scenario = self._demo, self._demo.plan.scenario
        yield _line(
            ("stream_guard", "bold cyan"),
            f"  {scenario.name}, seed {scenario.seed}   ",
            (clock(demo), "bold"),
            f"   x{demo.speed:,.0f} real time",
        )
        rate = sum(islice(reversed(demo.rates), 10)) / max(1, min(10, len(demo.rates)))
        head = f"{rate:>6,.0f} requests/s "
        tail = f" {demo.events:,} requests, {demo.accounts_seen:,} accounts"
        yield _line(head, (sparkline(list(demo.rates)[-60:], width - len(head) - len(tail)), "cyan"), tail)

    def _campaign(self, width: int, evidence: int) -> Iterable[Text | Rule]:
        demo = self._demo
        found = demo.campaigns
        yield Rule(f"campaigns found: {len(found)}", style="dim", align="left")
        active = demo.growth[-1][2] if demo.growth else 0
        linked = demo.growth[-1][1] if demo.growth else 0
        if not found:
            yield _line(("none yet", "dim"), f"   {active} accounts of a hidden campaign are at work")
            for _ in range(evidence + 1):
                yield Text()
            return
        largest = found[0]
        record = largest.campaign
        yield _line(
            (record.campaign_id, "bold red"),
            f"  {len(largest.accounts)} accounts  {record.shape}  risk ",
            (f"{record.risk:.2f}", "bold red"),
            f"  {record.exchanges:,} requests since {datetime.fromtimestamp(record.first_seen, UTC):%H:%M}",
        )
        head = f"{linked:>4} of {active} at work  "
        curve = sparkline([one[1] for one in demo.growth], width - len(head), most=max(active, 1))
        yield _line(("truth ", "dim"), (head, "bold"), (curve[: max(0, width - len(head) - 6)], "red"))
        lines = [f"- {one.text}" for one in record.evidence][:evidence]
        lines += [_brief(view) for view in found[1:]][: evidence - len(lines)]
        for line in lines + [""] * (evidence - len(lines)):
            yield _line(line)

    def _decisions(self, lines: int) -> Iterable[Text | Rule]:
        demo = self._demo
        yield Rule(f"decisions: {demo.decisions:,}", style="dim", align="left")
        shown = list(islice(_together(reversed(demo.latest)), lines))
        for decision, others in shown:
            yield _line(
                (f"{datetime.fromtimestamp(decision.ts, UTC):%H:%M} ", "dim"),
                decision.account_id[:16],
                (f" +{others}" if others else "", "bold"),
                (f"  {action(decision)}  ", "yellow"),
                why(decision),
            )
        for _ in range(lines - len(shown)):
            yield Text()

    def _honest(self) -> Iterable[Text | Rule]:
        demo, score = self._demo, self._demo.score
        hurt = len(score.honest_acted_on)
        yield Rule("honest accounts", style="dim", align="left")
        yield _line(
            (f"{hurt} of {len(score.honest):,} acted upon", "bold green" if not hurt else "bold yellow"),
            f"   {score.honest_refused:,} of {score.honest_requests:,} requests held back",
        )
        yield _line(
            ("harvest ", "dim"),
            (f"{share(score.stopped, score.harvested)} stopped", "bold green" if score.stopped else "bold"),
            f"   {score.stopped:,} of {score.harvested:,} requests answered 429",
        )
        yield _line(("ask it  ", "dim"), f"curl {demo.address}/v1/campaigns  (or /metrics)")
        yield _line(("Ctrl-C  ", "dim"), ("ends it with a summary of what was so far", "dim"))


def _together(decisions: Iterable[Decision]) -> Iterable[tuple[Decision, int]]:
    """Gather neighbours that were made at one moment about one campaign: the first, and how many others."""
    for _, same in groupby(
        decisions, key=lambda d: (d.ts, d.campaign_id, action(d)) if d.campaign_id else d.decision_id
    ):
        first, *others = same
        yield first, len(others)


def _brief(view: CampaignView) -> str:
    return f"also {view.campaign.campaign_id}  {len(view.accounts)} accounts  {view.campaign.shape}"


def _line(*parts: str | tuple[str, str]) -> Text:
    """One line, cut where the screen ends."""
    line = Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
    line.plain = line.plain.replace("\n", " ")
    return line


def progress(demo: "Demo") -> str:
    """Return where the demo is, in one plain line."""
    score = demo.score
    rate = sum(demo.rates) / len(demo.rates) if demo.rates else 0.0
    linked, active = (demo.growth[-1][1:]) if demo.growth else (0, 0)
    return (
        f"{clock(demo)}: {rate:,.0f} requests/s, {demo.accounts_seen:,} accounts; campaigns {len(demo.campaigns)}, "
        f"{linked} of {active} hidden accounts linked, {share(score.stopped, score.harvested)} of the harvest stopped; "
        f"honest accounts acted upon {len(score.honest_acted_on)}"
    )


def summary(demo: "Demo", *, interrupted: bool) -> Table:
    """Return what was found, and what the honest felt."""
    score, scenario = demo.score, demo.plan.scenario
    active = sum(1 for member in score.hidden.values() if member.requests)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    covered = duration(demo.clock - scenario.start)
    what = f"{scenario.plan.summary} (scenario {scenario.name}, seed {scenario.seed})"
    table.add_row("hidden", what)
    table.add_row("found", _found(demo, active))
    if score.named_at is not None:
        named = f"after {share(score.harvested_when_named, score.harvested)} of its requests"
        each = (
            f"; an account after {score.named_after:.1f} of its own on average" if score.named_after is not None else ""
        )
        table.add_row("named", f"{clock_at(demo, score.named_at)}, {named}{each}")
    table.add_row(
        "stopped",
        f"{share(score.stopped, score.harvested)} of the harvest: {score.stopped:,} of {score.harvested:,} requests",
    )
    table.add_row("honest", _honest(demo))
    table.add_row(
        "speed",
        f"{demo.events:,} requests, {covered} in {demo.seconds:.0f} s: {demo.events / max(demo.seconds, 1e-9):,.0f}/s, "
        f"{demo.speed:,.0f} times real time{' (interrupted)' if interrupted else ''}",
    )
    return table


def clock_at(demo: "Demo", ts: float) -> str:
    """Return a simulated time as the time since the stream began."""
    return f"{duration(ts - demo.plan.scenario.start)} in"


def _found(demo: "Demo", active: int) -> str:
    score = demo.score
    if not active:
        return "nothing was there to be found" + (f", yet {_campaigns(len(demo.campaigns))}" if demo.campaigns else "")
    linked = f"{score.hidden_linked} of {active} accounts that were at work ({share(score.hidden_linked, active)})"
    honest = len(score.linked_honest)
    wrong = f"; wrongly {honest} honest account{'' if honest == 1 else 's'} too" if honest else ""
    return f"{linked}, in {_campaigns(len(score.true_campaigns))}{wrong}"


def _campaigns(count: int) -> str:
    return f"{count} campaign{'' if count == 1 else 's'}"


def _honest(demo: "Demo") -> str:
    score = demo.score
    acted = f"{len(score.honest_acted_on):,} of {len(score.honest):,} accounts acted upon"
    return f"{acted}, {score.honest_refused:,} of {score.honest_requests:,} requests held back"


NEXT = """\
Next
  stream-guard simulate relay --out events.jsonl    other traffic (--list)
  stream-guard replay events.jsonl --out decided    decide about it, or yours
  stream-guard run                                  beside your gateway
  stream-guard demo --scenario succession --seed 7  another campaign"""
