"""The campaigns that hide among the honest, each after a figure that a provider made public."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from stream_guard.events import Client
from stream_guard.simulate import people, vocabulary
from stream_guard.simulate.honest import LIMITS, strangers
from stream_guard.simulate.people import DAY_S, Rhythm
from stream_guard.simulate.population import MODELS, Account, Label, World
from stream_guard.simulate.talks import Crowd, Either, Harvest, Injected, Probing, Replayed, Talker, Writer, chat
from stream_guard.simulate.text import Exercises, Voice, harvest_template, reworded, spun, topics_of

Shape = Literal["narrow", "relay", "replayed"]
Wording = Literal["shared", "by account", "by request", "none"]
Mimicry = Literal["programs", "plans", "settings", "hours", "turns"]
MIMICRY: tuple[Mimicry, ...] = ("programs", "plans", "settings", "hours", "turns")


@dataclass(frozen=True)
class Plan:
    """One campaign.

    Attributes
    ----------
    summary, published
        What is hidden; the published figure that it is modelled on.
    share, accounts
        Its accounts: a share of the honest ones (12 or more), or a number.
    per_day
        Requests of an account a day, on average.
    shared
        Share of its accounts on the campaign's own addresses, means of payment and client program.
    joins
        Share of the stream's time over which its accounts begin.
    shape, rhythm, templates
        What it sends, when, and how many templates it has.
    banned_at
        Share of the stream's time after which the first pool falls silent and a second, as large, takes over.
    probed_until
        Share of the stream's time until which a twelfth of its accounts (3 or more) try techniques, most of them
        refused, at `PROBES_A_DAY`; all others begin after that, with the one that got through.
    takes
        Share of its requests that moves to the new model within a day of its release.
    unevenness
        How far its accounts' volumes differ (spread of their logarithms).
    days
        How long a stream of it is unless told otherwise.
    wording
        Whose its templates are: the campaign's; each account's, or each request's, in words of its own (short words
        too); or there are none, and only the exercises are asked. For the narrow shape, as are the following.
    cover
        Share of its accounts' requests that are small talk.
    shards
        Parts of its accounts that have templates and topics of their own.
    mimics
        In what its accounts look like people who chat: client programs, plans, settings (output limits, temperature),
        hours, turns of a talk. With any of these they also have addresses, cards and an age as people do, and a mail
        domain of their own where they declare an organisation.
    organisations
        Share of its accounts that declare an organisation.
    idle_talk
        Share of the stream's time after an account's first request in which it only talks.
    ramp
        Share of the stream's time over which its accounts rise to their full volume.
    """

    summary: str
    published: str
    share: float = 0.0
    accounts: int = 0
    per_day: float = 26.0
    shared: float = 0.3
    joins: float = 0.3
    shape: Shape = "narrow"
    rhythm: Rhythm = "flat"
    templates: int = 3
    banned_at: float | None = None
    probed_until: float | None = None
    takes: float = 0.0
    unevenness: float = 0.15
    days: float = 2.0
    wording: Wording = "shared"
    cover: float = 0.0
    shards: int = 1
    mimics: tuple[Mimicry, ...] = ()
    organisations: float = 0.35
    idle_talk: float = 0.0
    ramp: float = 0.0


SCENARIOS: dict[str, Plan] = {
    "calm": Plan("nothing: honest accounts only", "the floor: every decision here is a mistake", per_day=0),
    "solo": Plan(
        "one account at 2,500 requests a day, without disguise",
        "the ceiling: what any rate limit finds",
        accounts=1,
        per_day=2500,
        shared=1.0,
        joins=0.0,
        templates=1,
        unevenness=0.0,
    ),
    "focused": Plan(
        "40 accounts that send at the same moments and share means of payment",
        "February 2026 disclosure: 150,000 exchanges, synchronised traffic, shared payment, load balancing",
        accounts=40,
        per_day=90,
        shared=0.8,
        joins=0.0,
        rhythm="rounds",
        unevenness=0.0,
        templates=2,
    ),
    "hydra": Plan(
        "26 requests an account a day over many accounts, a third of them on shared infrastructure",
        "April to June 2026: 28.8 million exchanges through 24,975 accounts in 45 days",
        share=0.05,
    ),
    "trickle": Plan(
        "two requests an account a day",
        "two days of July 2026: 16,000 requests from more than 4,000 accounts",
        share=0.25,
        per_day=2.0,
        shared=0.1,
        joins=0.1,
        days=4.0,
    ),
    "surge": Plan(
        "860 requests an account a day from few accounts",
        "summer 2026: about 3 million exchanges a day from more than 3,500 accounts",
        share=0.01,
        per_day=860,
        shared=0.4,
        joins=0.1,
    ),
    "relay": Plan(
        "strangers' traffic, and in a share of it one fixed sub-prompt that forces reasoning into tags",
        "summer 2026: one fixed prompt injected into the requests of a relay's own users",
        share=0.02,
        per_day=250,
        shared=0.2,
        shape="relay",
        rhythm="steady",
    ),
    "replayed": Plan(
        "reasoning items of one account's talk, sent again by others to be transcribed",
        "May to July 2026: 250,000 exchanges a day through 5,380 accounts, 46 an account",
        share=0.05,
        per_day=46,
        shared=0.1,
        shape="replayed",
        rhythm="human",
    ),
    "succession": Plan(
        "a pool that falls silent as if banned, and a second that takes over within hours",
        "summer 2026: when pool one was banned, pool two went on",
        share=0.03,
        per_day=46,
        shared=0.4,
        joins=0.05,
        banned_at=0.4,
    ),
    "pivot": Plan(
        "half of the traffic moves to a new model within a day of its release",
        "February 2026 disclosure: within 24 hours of a release, nearly half of a campaign of 13 million exchanges",
        share=0.05,
        per_day=60,
        shared=0.2,
        takes=0.5,
    ),
    "probing": Plan(
        "a few accounts try techniques, most refused; then one of them comes from all",
        "summer 2026: an experiment of 12,000 requests before the technique that got through was scaled",
        share=0.05,
        per_day=30,
        shared=0.2,
        joins=0.1,
        templates=1,
        probed_until=0.4,
    ),
}
"""Every scenario by name."""

PROBES_A_DAY = 200.0


@dataclass(frozen=True)
class Kit:
    """What the accounts of one pool share: addresses, means of payment, a client program."""

    agent: str
    exits: Sequence[Client]
    payments: Sequence[str]

    @classmethod
    def made(cls, rnd: random.Random, size: int) -> "Kit":
        """Return a kit for a pool of `size` accounts."""
        agent = rnd.choice(people.LIBRARIES[:5])
        exits: list[Client] = []
        for _ in range(max(2, size // 25)):
            exits += people.clients(
                rnd, [agent], rnd.choice(("US", "JP", "DE")), 4, cloud=rnd.random() < 0.5, block=rnd.getrandbits(24)
            )
        return cls(agent, exits, [people.payment(rnd) for _ in range(max(1, size // 12))])


def hide(world: World, plan: Plan, honest: int, campaign: str) -> None:
    """Add the accounts of one campaign to a world; `honest` is the number of honest accounts."""
    size = plan.accounts or (max(12, round(plan.share * honest)) if plan.share else 0)
    if not size:
        return
    rnd = world.rnd
    begin = rnd.uniform(0.04, 0.1) * world.days
    writers = _writers(world, plan, size * (2 if plan.banned_at else 1))
    pools = [(begin, world.days if plan.banned_at is None else plan.banned_at * world.days)]
    if plan.banned_at:
        pools.append((pools[0][1] + rnd.uniform(0.01, 0.04) * world.days, world.days))
    for number, (first, last) in enumerate(pools, 1):
        kit = Kit.made(rnd, size)
        for i in range(size):
            starts = first + rnd.random() * plan.joins * world.days
            label = Label(plan.shape, campaign, harvest=True, pool=number)
            account = _member(world, plan, kit, writers[(number - 1) * size + i], label)
            account.begin, account.end = world.at(starts), world.at(last)
            account.ramp_s = plan.ramp * world.days * DAY_S
            if plan.cover or plan.idle_talk:
                talk = Talker(rnd, chat(Voice(rnd, topics_of(rnd, 3), part=rnd.uniform(0.15, 0.4)), rnd))
                harvests = account.begin + plan.idle_talk * world.days * DAY_S
                account.writer = Either(rnd, talk, account.writer, 1 - plan.cover, harvests)
            account.takes, account.takes_ts, account.takes_s = plan.takes, world.release_ts, 0.8 * DAY_S
            if plan.probed_until is not None:
                _probe(world, account, begin, plan.probed_until, prober=i < max(3, size // 12))
            world.accounts.append(account)


def _probe(world: World, account: Account, begin: float, until: float, *, prober: bool) -> None:
    """Let an account begin once a technique was found, or look for one until then."""
    rnd, scaled = world.rnd, world.at(until * world.days)
    if not prober:
        account.begin = scaled + (account.begin - world.at(begin))
        return
    account.begin = world.at(begin)
    count = round(PROBES_A_DAY * (scaled - account.begin) / DAY_S)
    account.visits = [rnd.uniform(account.begin, scaled) for _ in range(count)]
    exercises = Exercises(rnd, topics_of(rnd, 4))
    account.writer = Probing(rnd, lambda: spun(reworded(rnd), rnd), exercises, account.writer, scaled)


def _writers(world: World, plan: Plan, count: int) -> list[Writer]:
    rnd = world.rnd
    if plan.shape == "replayed":
        stock: list[tuple[str, int]] = []
        exercises, orders = Exercises(rnd, topics_of(rnd, 4)), rnd.sample(vocabulary.TRANSCRIPTIONS, 2)
        template = harvest_template(rnd).replace("{slot}", "{prompt}")

        def text(turn: int) -> str:
            return template.replace("{prompt}", exercises.request()) if turn == 0 else exercises.request()

        return [
            Replayed(rnd, Talker(rnd, text, turns=2.0, thinks=1.0, median=900), orders, stock, me)
            for me in range(count)
        ]
    if plan.shape == "relay":
        sub_prompt = rnd.choice(vocabulary.INJECTIONS).replace("{tag}", rnd.choice(vocabulary.TAGS))
        writers: list[Writer] = []
        for _ in range(count):
            crowd, agents = strangers(rnd, rnd.randrange(15, 40))
            proxies = people.clients(rnd, [people.LIBRARIES[0]], "US", rnd.randrange(4, 30))
            writers.append(Injected(rnd, Crowd(rnd, crowd, agents, proxies), sub_prompt, rnd.uniform(0.05, 0.5)))
        return writers
    shards = [(_templates(rnd, plan), Exercises(rnd, topics_of(rnd, 4))) for _ in range(plan.shards)]
    turns = 2.5 if "turns" in plan.mimics else 1.0
    made: list[Writer] = []
    for me in range(count):
        templates, exercises = shards[me % len(shards)]
        own = [spun(template, rnd) for template in templates] if plan.wording == "by account" else templates
        made.append(Harvest(rnd, own, exercises, turns))
    return made


def _templates(rnd: random.Random, plan: Plan) -> list[str]:
    if plan.wording == "none":
        return ["{slot}"]
    return [harvest_template(rnd) if plan.wording == "shared" else reworded(rnd) for _ in range(plan.templates)]


def _member(world: World, plan: Plan, kit: Kit, writer: Writer, label: Label) -> Account:
    """One account: on the pool's kit, or with nothing in common with the others."""
    rnd = world.rnd
    if plan.mimics:
        return _customer(world, plan, writer, label)
    on_kit = rnd.random() < plan.shared
    tier = rnd.choices(("free", "pro", "team", "business"), (15, 60, 20, 5))[0]
    if on_kit:
        seen: Sequence[Client] = rnd.choices(kit.exits, k=4)
        created, paid_by = world.start - rnd.uniform(0.05, 6) * DAY_S, rnd.choice(kit.payments)
        mail = rnd.choice(people.DISPOSABLE_MAIL) if rnd.random() < 0.5 else None
    else:
        seen = people.clients(rnd, [rnd.choice(people.LIBRARIES)], people.country(rnd), rnd.choice((1, 2, 3, 8)))
        created, paid_by, mail = world.long_ago(120), None, None
    return Account(
        world.new_id(),
        label,
        writer,
        plan.per_day * rnd.lognormvariate(0, plan.unevenness),
        plan.rhythm,
        rnd.randrange(-8, 9),
        seen,
        people.facts(rnd, created, tier, mail=mail, paid_by=paid_by),
        world.start,
        world.end,
        people.organisation(rnd)[0] if rnd.random() < plan.organisations else None,
        models=MODELS[:1],
        max_tokens=(4096,) if rnd.random() < 0.7 else (4096, 8192),
        temperature=rnd.choice((0.6, 0.7, 1.0)),
        shows_talks=plan.shape != "narrow" or rnd.random() < 0.5,
        rotates=True,
        refused=0.02,
    )


def _customer(world: World, plan: Plan, writer: Writer, label: Label) -> Account:
    """One account that looks like a person who chats, in what the plan says."""
    rnd, where = world.rnd, people.country(world.rnd)
    org, mail = people.organisation(rnd) if rnd.random() < plan.organisations else (None, None)
    agent = rnd.choice(people.BROWSERS if "programs" in plan.mimics and rnd.random() < 0.7 else people.LIBRARIES)
    tiers = (55, 37, 8) if "plans" in plan.mimics else (0, 85, 15)
    limits = (rnd.choice(LIMITS[2:]), rnd.choice(LIMITS[2:])) if "settings" in plan.mimics else (4096,)
    return Account(
        world.new_id(),
        label,
        writer,
        plan.per_day * rnd.lognormvariate(0, plan.unevenness),
        "human" if "hours" in plan.mimics else plan.rhythm,
        people.COUNTRIES[where][0],
        people.clients(rnd, [agent], where, rnd.choice((1, 1, 2, 2, 3, 6))),
        people.facts(rnd, world.long_ago(), rnd.choices(("free", "pro", "team"), tiers)[0], mail=mail),
        world.start,
        world.end,
        org,
        models=MODELS[:1],
        max_tokens=limits,
        temperature=rnd.choice((0.0, 0.2, 0.7, 1.0)) if "settings" in plan.mimics else 0.7,
        shows_talks=rnd.random() < 0.85,
    )
