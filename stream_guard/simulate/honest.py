"""The honest kinds: people, coders, applications, and those who look like a campaign and are none."""

import functools
import random
from collections.abc import Callable

from stream_guard.events import Client
from stream_guard.simulate import people, vocabulary
from stream_guard.simulate.people import COUNTRIES
from stream_guard.simulate.population import MODELS, Account, Label, World
from stream_guard.simulate.talks import Crowd, Either, Suite, Talker, Writer, chat, coding, within
from stream_guard.simulate.text import Codebase, Voice, harness_prompt, name, system_prompt, topics_of

LIMITS = (512, 1024, 2048, 4096, 8192)


def _voice(rnd: random.Random, where: str = "US", topics: int = 3) -> Voice:
    chinese = rnd.random() < (0.85 if where == "CN" else 0.02)
    return Voice(rnd, topics_of(rnd, topics, chinese=chinese), part=rnd.uniform(0.15, 0.4))


def individuals(world: World, count: int) -> None:
    """People who chat: a few talks a day by daylight, some with reasoning items."""
    for _ in range(count):
        _person(world, "individual")


def _person(world: World, kind: str, writer_of: Callable[[Callable[[int], str]], Writer] | None = None) -> Account:
    rnd, where = world.rnd, people.country(world.rnd)
    text = chat(_voice(rnd, where), rnd, rnd.uniform(1.5, 8.0))
    turns, thinks = (2.5 if rnd.random() < 0.65 else 1.1), (0.5 if rnd.random() < 0.3 else 0.0)
    writer = writer_of(text) if writer_of else Talker(rnd, text, turns=turns, thinks=thinks)
    agent = rnd.choice(people.BROWSERS if rnd.random() < 0.7 else people.LIBRARIES)
    org, mail = people.organisation(rnd) if rnd.random() < 0.25 else (None, None)
    tier = rnd.choices(("free", "pro", "team"), (55, 37, 8))[0]
    addresses = rnd.choice((1, 1, 2, 2, 3, 6))
    account = Account(
        world.new_id(),
        Label(kind),
        writer,
        min(150.0, 6.0 * rnd.lognormvariate(0, 1)),
        "human",
        COUNTRIES[where][0] + rnd.randrange(-1, 2),
        people.clients(rnd, [agent], where, addresses),
        people.facts(rnd, world.long_ago(), tier, mail=mail),
        world.start,
        world.end,
        org,
        models=(rnd.choice(MODELS),),
        max_tokens=(rnd.choice(LIMITS), rnd.choice(LIMITS)),
        temperature=rnd.choice((0.0, 0.2, 0.7, 1.0)),
        shows_talks=rnd.random() < 0.85,
    )
    world.accounts.append(account)
    return account


def coders(world: World, count: int) -> None:
    """Programmers with a harness of their own choice: long talks, tool results, code."""
    for _ in range(count):
        harness = world.rnd.choice(sorted(people.HARNESSES))
        prompt = system_prompt(world.rnd, 6) if world.rnd.random() < 0.5 else None
        _coder(world, "coder", harness, prompt)


def harness_crowd(world: World, count: int) -> None:
    """Coders who have nothing in common but one public harness with its huge system prompt."""
    shared, harness = harness_prompt(world.rnd), world.rnd.choice(sorted(people.HARNESSES))
    for _ in range(count):
        folder, project = name(world.rnd).lower(), name(world.rnd)
        platform = world.rnd.choice(("linux", "darwin", "win32"))
        system = f"{shared}\n<env>\nfolder: ~/{folder}\nproject: {project}\nplatform: {platform}\n</env>"
        _coder(world, "harness_crowd", harness, system)


def _coder(world: World, kind: str, harness: str, system: str | None) -> None:
    rnd, where = world.rnd, people.country(world.rnd)
    voice = Voice(rnd, topics_of(rnd, 2), part=0.2) if where != "CN" else _voice(rnd, where, 2)
    thinks = 0.6 if rnd.random() < 0.6 else 0.0
    text = coding(Codebase(rnd), voice, rnd)
    org, mail = people.organisation(rnd) if rnd.random() < 0.4 else (None, None)
    world.accounts.append(
        Account(
            world.new_id(),
            Label(kind),
            Talker(rnd, text, system=system, turns=7.0, thinks=thinks, median=350, harness=harness),
            min(600.0, 45 * rnd.lognormvariate(0, 0.9)) * world.volume,
            "human",
            COUNTRIES[where][0],
            people.clients(rnd, [people.HARNESSES[harness]], where, rnd.randrange(1, 4)),
            people.facts(rnd, world.long_ago(), rnd.choices(("pro", "team", "business"), (55, 30, 15))[0], mail=mail),
            world.start,
            world.end,
            org,
            models=MODELS[:1] if rnd.random() < 0.7 else MODELS[:2],
            max_tokens=(rnd.choice((4096, 8192)),),
            temperature=0.2,
            tools=True,
        )
    )


def applications(world: World, count: int) -> None:
    """Products: each its own system prompt, its users' questions, one to four keys, cloud servers, day and night."""
    made = 0
    while made < count:
        keys = min(count - made, world.rnd.choice((1, 1, 1, 2, 4)))
        made += keys
        _application(world, "application", keys)


def _application(
    world: World, kind: str, keys: int, begin: float | None = None, end: float | None = None
) -> list[Account]:
    rnd, where, (org, mail) = world.rnd, people.country(world.rnd), people.organisation(world.rnd)
    system, created, paid_by = system_prompt(rnd, rnd.randrange(4, 15)), world.long_ago(300), people.payment(rnd)
    voice, block, agent = _voice(rnd, where), rnd.getrandbits(24), rnd.choice(people.LIBRARIES)
    accounts = [
        Account(
            world.new_id(),
            Label(kind),
            Talker(rnd, chat(voice, rnd, 2.0), system=system, turns=1.5),
            min(3000.0, 90 * rnd.lognormvariate(0, 1)) * world.volume,
            "steady",
            COUNTRIES[where][0],
            people.clients(rnd, [agent], where, 3, cloud=True, block=block),
            people.facts(rnd, created, rnd.choice(("team", "business", "enterprise")), mail=mail, paid_by=paid_by),
            world.start if begin is None else begin,
            world.end if end is None else end,
            org,
            models=(rnd.choice(MODELS),),
            max_tokens=(rnd.choice(LIMITS[:4]),),
            temperature=rnd.choice((0.0, 0.3)),
            shows_talks=rnd.random() < 0.4,
        )
        for _ in range(keys)
    ]
    world.accounts += accounts
    return accounts


def classrooms(world: World, count: int) -> None:
    """Students of one course: the same sheet in the same week, accounts of one week, one campus, by day."""
    rnd = world.rnd
    while count > 0:
        size = min(count, rnd.randrange(30, 121))
        count -= size
        sheet, where, block = (
            rnd.choice(vocabulary.ASSIGNMENTS).replace("{count}", str(rnd.randrange(1, 12))),
            people.country(rnd),
            rnd.getrandbits(24),
        )
        week, mail, paid_by, asn = (
            world.long_ago(60),
            f"campus-{rnd.randrange(9999)}.example",
            people.payment(rnd),
            rnd.randrange(200, 2500),
        )
        topic = topics_of(rnd, 2)
        for _ in range(size):
            text = chat(Voice(rnd, topic, part=0.25), rnd, 3.0)
            on_sheet = Talker(rnd, within(sheet.replace("{part}", rnd.choice("abcd")), text), turns=2.0)
            seen = [
                Client(c.ip, asn, c.country, c.user_agent, c.tls_ja4)
                for c in people.clients(rnd, [rnd.choice(people.BROWSERS)], where, 2, block=block)
            ]
            created = week + rnd.uniform(0, 6) * people.DAY_S
            world.accounts.append(
                Account(
                    world.new_id(),
                    Label("classroom"),
                    Either(rnd, Talker(rnd, chat(_voice(rnd), rnd)), on_sheet, 0.75),
                    12 * rnd.lognormvariate(0, 0.5),
                    "office",
                    COUNTRIES[where][0],
                    seen,
                    people.facts(rnd, created, "pro", mail=mail, pathway="education", paid_by=paid_by),
                    world.start,
                    world.end,
                    models=MODELS[:2],
                )
            )


def viral_template(world: World, count: int) -> None:
    """People who find one public prompt within a day, try it a few times at once and now and then later."""
    rnd, template = world.rnd, world.rnd.choice(vocabulary.VIRAL)
    posted = world.at(rnd.uniform(0.1, 0.5) * world.days)
    for _ in range(count):
        found, often = posted + rnd.expovariate(1 / (0.25 * people.DAY_S)), rnd.uniform(0.1, 0.6)
        wrap = functools.partial(within, template, standing=rnd.random() < 0.5)

        def writer(
            text: Callable[[int], str],
            wrap: Callable[..., Callable[[int], str]] = wrap,
            since: float = found,
            often: float = often,
        ) -> Writer:
            return Either(rnd, Talker(rnd, text), Talker(rnd, wrap(text), turns=2.0), often, since)

        account = _person(world, "viral_template", writer)
        account.visits = [found + rnd.expovariate(1 / 600) for _ in range(rnd.randrange(2, 8))]


def nightly_evaluations(world: World, count: int) -> None:
    """Firms that ask the same questions at the same hour of every night, some with log probabilities."""
    rnd = world.rnd
    for _ in range(count):
        where, (org, mail), voice = (
            people.country(rnd),
            people.organisation(rnd),
            Voice(rnd, topics_of(rnd, 4), part=0.6),
        )
        size = max(20, round(250 * rnd.lognormvariate(0, 0.5) * world.volume))
        questions = [
            f"{voice.request(2)}\nA) {name(rnd)}\nB) {name(rnd)}\nC) {name(rnd)}\nAnswer with one letter."
            for _ in range(size)
        ]
        world.accounts.append(
            Account(
                world.new_id(),
                Label("nightly_evaluation"),
                Suite(
                    rnd, questions, system_prompt(rnd, 2) if rnd.random() < 0.5 else None, logprobs=rnd.random() < 0.5
                ),
                size,
                "nightly",
                COUNTRIES[where][0],
                people.clients(rnd, [rnd.choice(people.LIBRARIES)], where, 1, cloud=True),
                people.facts(
                    rnd, world.long_ago(), "team", mail=mail, pathway="research" if rnd.random() < 0.2 else None
                ),
                world.start,
                world.end,
                org,
                max_tokens=(rnd.choice((64, 512)),),
                temperature=0.0,
                shows_talks=False,
            )
        )


def strangers(rnd: random.Random, count: int) -> tuple[list[Writer], list[str]]:
    """Return people, coders and users of applications with the client program of each."""
    writers: list[Writer] = []
    agents: list[str] = []
    for _ in range(count):
        where, kind = people.country(rnd), rnd.random()
        harness = rnd.choice(sorted(people.HARNESSES))
        if kind < 0.5:
            writers.append(Talker(rnd, chat(_voice(rnd, where), rnd)))
        elif kind < 0.75:
            writers.append(
                Talker(
                    rnd, coding(Codebase(rnd, 40), _voice(rnd, where, 2), rnd), turns=6.0, thinks=0.5, harness=harness
                )
            )
        else:
            writers.append(Talker(rnd, chat(_voice(rnd, where), rnd, 2.0), system=system_prompt(rnd, 6), turns=1.5))
        agents.append(people.HARNESSES[harness] if 0.5 <= kind < 0.75 else rnd.choice(people.LIBRARIES))
    return writers, agents


def aggregators(world: World, count: int) -> None:
    """Resellers with a declared organisation and a large plan: strangers' traffic through their own servers."""
    rnd = world.rnd
    for _ in range(count):
        org, mail = people.organisation(rnd)
        seen = people.clients(rnd, [people.LIBRARIES[0]], "US", 6, cloud=True)
        writers, agents = strangers(rnd, 120)
        world.accounts.append(
            Account(
                world.new_id(),
                Label("aggregator"),
                Crowd(rnd, writers, agents, seen),
                1500 * world.volume,
                "steady",
                0,
                seen,
                people.facts(rnd, world.long_ago(300), "enterprise", mail=mail),
                world.start,
                world.end,
                org,
                models=MODELS,
                max_tokens=LIMITS,
                shows_talks=False,
            )
        )


def migrations(world: World, count: int) -> None:
    """Applications that move to a new key: the old one falls silent, the new one is at full volume within the hour."""
    for _ in range((count + 1) // 2):
        move = world.at(world.rnd.uniform(0.2, 0.7) * world.days)
        old, new = _application(world, "migration", 2)
        old.end, new.begin = move + 900, move
        new.facts = people.facts(
            world.rnd, move - 3600, "business", mail=old.facts.email_domain, paid_by=old.facts.payment_id
        )


KINDS: tuple[tuple[Callable[[World, int], None], float, int], ...] = (
    (individuals, 0.52, 1),
    (viral_template, 0.10, 5),
    (applications, 0.10, 1),
    (harness_crowd, 0.10, 5),
    (coders, 0.08, 1),
    (classrooms, 0.07, 5),
    (nightly_evaluations, 0.015, 2),
    (migrations, 0.013, 2),
    (aggregators, 0.002, 1),
)
"""Each kind with its share of the honest accounts and the least number of it."""


def populate(world: World, accounts: int) -> None:
    """Add honest accounts of every kind, about `accounts` in all."""
    for add, share, least in KINDS:
        add(world, max(least, round(accounts * share)))
