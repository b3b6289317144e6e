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
"""Phrases kept for each topic and part of speech."""

_SLOT = re.compile(r"\{(\w+)\}")


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
    """Fill a template's slots: {n} noun, {v} verb, {a} adjective, {name}, {count}; a trailing 2 or 3 means another."""

    def pick(match: re.Match[str]) -> str:
        slot = match[1].removesuffix("_key").rstrip("23")
        if slot == "n":
            noun = rnd.choice(topic.nouns)
            return noun.replace(" ", "_").replace("-", "_") if "_key" in match[1] else noun
        if slot == "v":
            return rnd.choice(topic.verbs)
        if slot == "a":
            return rnd.choice(topic.adjectives)
        return naming(rnd) if slot == "name" else str(rnd.randrange(2, 99))

    return _SLOT.sub(pick, template)


class Phrases(NamedTuple):
    """The phrases of one topic in one language."""

    openers: tuple[str, ...]
    nouns: tuple[str, ...]
    verbs: tuple[str, ...]
    tails: tuple[str, ...]
    asks: tuple[str, ...]


@lru_cache(maxsize=64)
def phrases(topic: str) -> Phrases:
    """Return the phrases of a topic; the same in every run."""
    rnd = random.Random(topic)
    if topic in words.TOPICS:
        subject, naming = words.TOPICS[topic], name
        sources = (words.NOUN_PHRASES, words.VERB_PHRASES, words.TAILS, words.ASKS)
        openers = words.OPENERS
    else:
        subject, naming = words.CHINESE_TOPICS[topic], chinese_name
        sources = (
            words.CHINESE_NOUN_PHRASES,
            words.CHINESE_VERB_PHRASES,
            words.CHINESE_TAILS,
            words.CHINESE_ASKS,
        )
        openers = words.CHINESE_OPENERS
    made = [tuple(fill(rnd.choice(source), rnd, subject, naming) for _ in range(PHRASES)) for source in sources]
    return Phrases(openers, made[0], made[1], made[2], made[3])


class Voice:
    """One writer: a language, a few topics, an own part of their phrases.

    Parameters
    ----------
    rnd
        Where chance comes from.
    topics
        Names of topics, all of one language (`vocabulary.TOPICS`, `vocabulary.CHINESE_TOPICS`).
    part
        Share of each topic's phrases that this writer uses, 0..1.
    openers
        Ways to begin a sentence, if not those of the language.

    Examples
    --------
    >>> Voice(random.Random(9), ["garden"]).request(1)
    'Only now our raised trellis tends to dry out after the update. Turn this into an email.'
    """

    __slots__ = ("_chinese", "_draw", "_openers", "_parts")

    def __init__(
        self, rnd: random.Random, topics: Sequence[str], part: float = 0.3, openers: Sequence[str] | None = None
    ) -> None:
        self._draw = rnd.random
        self._chinese = topics[0] in words.CHINESE_TOPICS
        books = [phrases(topic) for topic in topics]
        shared = openers or books[0].openers
        self._openers = rnd.sample(shared, max(4, int(len(shared) * part)))
        size = max(12, int(PHRASES * part))
        self._parts = [
            tuple(_stretch(pool, rnd.randrange(PHRASES), size) for pool in (b.nouns, b.verbs, b.tails, b.asks))
            for b in books
        ]

    def sentence(self) -> str:
        """Return one sentence."""
        draw = self._draw
        nouns, verbs, tails, _ = self._parts[int(draw() * len(self._parts))]
        n, form = len(nouns), draw()
        noun, verb = nouns[int(draw() * n)], verbs[int(draw() * n)]
        opener = self._openers[int(draw() * len(self._openers))]
        tail, other, verb2 = tails[int(draw() * n)], nouns[int(draw() * n)], verbs[int(draw() * n)]
        if self._chinese:
            return f"{opener}{noun}{tail}{verb}。" if form < 0.5 else f"{noun}{verb}、{opener}{other}{verb2}。"
        if form < 0.4:
            return f"{opener} {noun} {verb} {tail}."
        if form < 0.6:
            return f"{opener} {noun} {verb}, but {other} {verb2}."
        if form < 0.8:
            return f"{noun[0].upper()}{noun[1:]} {verb} {tail}; {opener.lower()} {other} {verb2}."
        return f"{opener} {noun} {verb}."

    def ask(self) -> str:
        """Return what is wanted, in a few words."""
        asks = self._parts[int(self._draw() * len(self._parts))][3]
        return asks[int(self._draw() * len(asks))]

    def passage(self, sentences: int) -> str:
        """Return a text of so many sentences."""
        return ("" if self._chinese else " ").join([self.sentence() for _ in range(sentences)])

    def request(self, sentences: int) -> str:
        """Return a request: a passage and what is wanted."""
        return f"{self.passage(sentences)}{'' if self._chinese else ' '}{self.ask()}"


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
    parts += [f"- {voice.sentence()}" for _ in range(28)]
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
