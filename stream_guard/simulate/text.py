"""Texts from a grammar: honest writers that differ from each other, code, system prompts, tasks of campaigns.

Phrases are put together once a topic and kept (about 1 MB for all topics); a sentence is then a handful of draws. Each
writer draws from an own part of the phrases of a few topics, so that two writers seldom share five words in a row.
"""

import random
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from stream_guard.simulate import vocabulary as words

PHRASES = 320
"""Phrases kept for each topic and kind of phrase."""

EDITIONS = 4
"""Editions of each topic that honest writers draw from."""

_SLOT = re.compile(r"\{(\w+)\}")
_ALTERNATIVES = re.compile(r"\{([^{}]*\|[^{}]*)\}")


def name(rnd: random.Random) -> str:
    """Return a made-up proper name.

    >>> name(random.Random(1))
    'Rewa'
    """
    return "".join(rnd.choice(words.SYLLABLES) for _ in range(rnd.choice((2, 3, 3)))).capitalize()


def chinese_name(rnd: random.Random) -> str:
    """Return a made-up Chinese name."""
    return rnd.choice(words.CHINESE_SURNAMES) + rnd.choice(words.CHINESE_GIVEN)


def fill(template: str, rnd: random.Random, topic: words.Topic, naming: Callable[[random.Random], str] = name) -> str:
    """Fill a template's slots.

    {n} noun, {v} verb, {a} adjective, {name}, {month}, {count}; a trailing 2 or 3 means another, `_key` an identifier.
    """

    def pick(match: re.Match[str]) -> str:
        slot, _, key = match[1].partition("_")
        match slot.rstrip("23"):
            case "n":
                found = rnd.choice(topic.nouns)
            case "v":
                found = rnd.choice(topic.verbs)
            case "a":
                found = rnd.choice(topic.adjectives)
            case "name":
                found = naming(rnd)
            case "month":
                found = rnd.choice(words.MONTHS)
            case _:
                found = str(rnd.randrange(2, 99))
        return found.replace(" ", "_").replace("-", "_") if key else found

    return _SLOT.sub(pick, template)


class Language(NamedTuple):
    """How a language is put together."""

    topics: dict[str, words.Topic]
    openers: tuple[str, ...]
    beliefs: tuple[str, ...]
    nouns: tuple[str, ...]
    modals: tuple[str, ...]
    adverbs: tuple[str, ...]
    tails: tuple[str, ...]
    asks: tuple[str, ...]
    naming: Callable[[random.Random], str]
    space: str
    stop: str


ENGLISH = Language(
    words.TOPICS,
    words.OPENERS,
    words.BELIEFS,
    words.NOUN_PHRASES,
    words.MODALS,
    words.ADVERBS,
    words.TAILS,
    words.ASKS,
    name,
    " ",
    ". ",
)
CHINESE = Language(
    words.CHINESE_TOPICS,
    words.CHINESE_OPENERS,
    words.CHINESE_BELIEFS,
    words.CHINESE_NOUN_PHRASES,
    words.CHINESE_MODALS,
    words.CHINESE_ADVERBS,
    words.CHINESE_TAILS,
    words.CHINESE_ASKS,
    chinese_name,
    "",
    "。",
)


class Phrases(NamedTuple):
    """The phrases of one topic."""

    nouns: tuple[str, ...]
    tails: tuple[str, ...]
    asks: tuple[str, ...]


@lru_cache(maxsize=256)
def phrases(topic: str, edition: int) -> Phrases:
    """Return the phrases of a topic; the same in every run. Editions differ in which."""
    rnd = random.Random(f"{topic} {edition}")
    language = ENGLISH if topic in words.TOPICS else CHINESE
    subject = language.topics[topic]

    def made(source: Sequence[str]) -> tuple[str, ...]:
        return tuple(fill(rnd.choice(source), rnd, subject, language.naming) for _ in range(PHRASES))

    return Phrases(made(language.nouns), made(language.tails), made(language.asks))


class Voice:
    """One writer: a language, a few topics, an own part of their phrases, friends with names.

    Parameters
    ----------
    rnd
        Where chance comes from.
    topics
        Names of topics, all of one language (`vocabulary.TOPICS`, `vocabulary.CHINESE_TOPICS`).
    part
        Share of the phrases that this writer uses, 0..1.
    edition
        Which phrases there are of the topics; by default one of the `EDITIONS` of honest writers.

    Examples
    --------
    >>> Voice(random.Random(9), ["garden"]).request(1)
    'Around here each seed tray, my soil test, with 27 people: seems to partly dry out. Any idea?'
    """

    __slots__ = ("_adverbs", "_draw", "_language", "_modals", "_openers", "_topics")

    def __init__(
        self, rnd: random.Random, topics: Sequence[str], part: float = 0.3, edition: int | None = None
    ) -> None:
        self._draw = rnd.random
        language = self._language = ENGLISH if topics[0] in words.TOPICS else CHINESE
        self._modals, self._adverbs = _some(rnd, language.modals, part + 0.2), _some(rnd, language.adverbs, part)
        friends = [f"{language.naming(rnd)}{language.space}{rnd.choice(language.beliefs)}" for _ in range(4)]
        self._openers = [*_some(rnd, language.openers, part), *friends]
        books = [phrases(topic, rnd.randrange(EDITIONS) if edition is None else edition) for topic in topics]
        size = max(12, int(PHRASES * part))
        self._topics = [
            (
                *(_stretch(pool, rnd.randrange(PHRASES), size) for pool in book),
                _some(rnd, language.topics[topic].verbs, part + 0.3),
            )
            for topic, book in zip(topics, books, strict=True)
        ]

    def sentence(self) -> str:
        """Return one sentence."""
        draw = self._draw
        nouns, tails, _, verbs = self._topics[int(draw() * len(self._topics))]
        n, form, gap = len(nouns), draw(), self._language.space
        noun, opener = nouns[int(draw() * n)], self._openers[int(draw() * len(self._openers))]
        does = f"{self._does()}{gap}{verbs[int(draw() * len(verbs))]}"
        stop = self._language.stop
        if form < 0.2:
            return f"{opener}{gap}{noun}{gap}{does}{stop}"
        tail = tails[int(draw() * n)]
        if form < 0.45:
            return f"{opener}{gap}{noun}{gap}{does}{gap}{tail}{stop}"
        if form < 0.6:
            return f"{tail[0].upper()}{tail[1:]}{gap}{noun}{gap}{does}{stop}"
        other = nouns[int(draw() * n)]
        if form < 0.75:
            also = f"{self._does()}{gap}{verbs[int(draw() * len(verbs))]}"
            return f"{noun[0].upper()}{noun[1:]}{gap}{does}; {other}{gap}{also}{stop}"
        if form < 0.9:
            return f"{opener}{gap}{noun}, {other}, {tail}: {does}{stop}"
        return f"{noun[0].upper()}{noun[1:]}{gap}{tail}, {opener.lower()}{gap}{other}{gap}{does}{stop}"

    def _does(self) -> str:
        draw, modals, adverbs = self._draw, self._modals, self._adverbs
        return f"{modals[int(draw() * len(modals))]}{self._language.space}{adverbs[int(draw() * len(adverbs))]}"

    def ask(self) -> str:
        """Return what is wanted, in a few words."""
        asks = self._topics[int(self._draw() * len(self._topics))][2]
        return asks[int(self._draw() * len(asks))]

    def passage(self, sentences: int) -> str:
        """Return a text of so many sentences."""
        return "".join([self.sentence() for _ in range(sentences)])

    def request(self, sentences: int) -> str:
        """Return a request: a passage and what is wanted."""
        return f"{self.passage(sentences)}{self.ask()}"


def _some(rnd: random.Random, of: Sequence[str], part: float) -> list[str]:
    return rnd.sample(of, max(4, min(len(of), int(len(of) * part))))


def _stretch(pool: Sequence[str], first: int, size: int) -> Sequence[str]:
    return (tuple(pool) * 2)[first : first + size]


def topics_of(rnd: random.Random, count: int, *, chinese: bool = False) -> list[str]:
    """Return the names of `count` topics."""
    return rnd.sample(sorted(words.CHINESE_TOPICS if chinese else words.TOPICS), count)


class Codebase:
    """One program that somebody works on: its names, its lines."""

    __slots__ = ("_draw", "files", "lines")

    def __init__(self, rnd: random.Random, lines: int = 60) -> None:
        self._draw = rnd.random
        topic = rnd.choice(list(words.TOPICS.values()))
        nouns = [rnd.choice(topic.nouns).replace(" ", "_").replace("-", "_") for _ in range(6)]
        names = [name(rnd).lower() for _ in range(8)] + nouns
        self.files = [f"src/{rnd.choice(names)}/{rnd.choice(names)}.py" for _ in range(6)]
        self.lines = []
        for _ in range(lines):
            first, second = rnd.choice(names), rnd.choice(names)
            values = {
                "f": first,
                "g": second,
                "F": first.title().replace("_", ""),
                "G": second.title().replace("_", ""),
            }
            line = rnd.choice(words.CODE_LINES).format(**values, count=rnd.randrange(2, 9999))
            self.lines.append(line)

    def block(self, lines: int) -> str:
        """Return so many lines of code."""
        draw, mine = self._draw, self.lines
        return "\n".join([mine[int(draw() * len(mine))] for _ in range(lines)])

    def file(self) -> str:
        """Return the path of one of its files."""
        return self.files[int(self._draw() * len(self.files))]


def system_prompt(rnd: random.Random, rules: int) -> str:
    """Return the system prompt of an application: who it is, and its rules."""
    topic = words.TOPICS[topics_of(rnd, 1)[0]]
    firm = name(rnd)
    head = fill(f"You are {name(rnd)}, the {{n}} assistant of {firm} {name(rnd)}. ", rnd, topic)
    return head + " ".join(fill(rule, rnd, topic) for rule in rnd.sample(words.RULES, min(rules, len(words.RULES))))


def harness_prompt(rnd: random.Random, tools: int = 15) -> str:
    """Return the huge system prompt of a public coding harness: rules and tools, some 6,000 characters."""
    voice = Voice(rnd, ["python", "web", "database"], part=0.8)
    parts = [f"You are {name(rnd)}, a command line tool that helps people to change programs. Obey the rules."]
    parts += [f"- {voice.sentence().strip()}" for _ in range(28)]
    parts += [
        f"## {tool}\n{voice.passage(4)}\nArguments: path (string), {name(rnd).lower()} (string)"
        for tool in words.TOOLS[:tools]
    ]
    return "\n".join(parts)


def harvest_template(rnd: random.Random) -> str:
    """Return a campaign's template with a `{slot}`: who to be, reasoning forced out, a format, a label."""
    tag = rnd.choice(words.TAGS)
    lead = rnd.choice(words.LEADS).replace("{field}", rnd.choice(words.FIELDS))
    elicitation = rnd.choice(words.ELICITATIONS).replace("{tag}", tag)
    return f"{lead} {elicitation} {rnd.choice(words.FORMATS)}\n\n{rnd.choice(words.LABELS)} {{slot}}"


def reworded(rnd: random.Random) -> str:
    """Return a template with a `{slot}` whose wording `spun` has yet to choose: {this|that}."""
    return rnd.choice(words.REWORDED).replace("{field}", "{" + "|".join(words.FIELDS) + "}")


def spun(text: str, rnd: random.Random) -> str:
    """Return a text with each of its {alternatives|other alternatives} chosen; a text without any as it is.

    >>> spun("{Hello|Hi}, {slot}", random.Random(1))
    'Hello, {slot}'
    """
    return _ALTERNATIVES.sub(lambda match: rnd.choice(match[1].split("|")), text)


class Exercises:
    """What fills a campaign's templates: problems of a few topics.

    Parameters
    ----------
    rnd
        Where chance comes from.
    topics
        Names of English topics.

    Examples
    --------
    >>> Exercises(random.Random(5), ["garden"]).request()
    'In a trellis of mass 90 kg, heat flows to the organic tomato bed at 61 W. When does it rot? Give units.'
    """

    __slots__ = ("_rnd", "_topics")

    def __init__(self, rnd: random.Random, topics: Sequence[str]) -> None:
        self._rnd, self._topics = rnd, [words.TOPICS[topic] for topic in topics]

    def request(self) -> str:
        """Return one problem."""
        rnd = self._rnd
        return fill(rnd.choice(words.EXERCISES), rnd, rnd.choice(self._topics))
