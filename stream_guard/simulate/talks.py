"""What accounts send: writers, asked for one request at a time in time order, so that they may share what they know."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from stream_guard.events import Client
from stream_guard.simulate.text import Codebase, Exercises, Voice, spun

TALK_GAP_S = 2400.0
"""Silence that ends a talk."""


class Ask(NamedTuple):
    """One request as its writer sees it; what is None follows from the account."""

    prompt: str
    system: str | None = None
    answer_tokens: int = 300
    turn: int = 0
    conversation_id: str | None = None
    history_tokens: int = 0
    reasoning_refs: tuple[str, ...] = ()
    harness: str | None = None
    client: Client | None = None
    harvest: bool = False
    logprobs: bool | None = None
    refused: float | None = None


class Writer(Protocol):
    """Somebody who writes requests."""

    def ask(self, ts: float) -> Ask:
        """Return the request made at `ts` (seconds UTC); called in time order."""
        ...


def conversation(rnd: random.Random) -> str:
    """Return the id of a new talk."""
    return f"cv_{rnd.getrandbits(48):012x}"


def reasoning_item(rnd: random.Random) -> str:
    """Return the hash of a new signed reasoning item."""
    return f"rs_{rnd.getrandbits(64):016x}"


def length(rnd: random.Random, median: int) -> int:
    """Return the tokens of an answer, 16 or more."""
    return 16 + int(median * rnd.lognormvariate(0, 0.7))


class Talker:
    """Talks of several turns.

    Parameters
    ----------
    text
        Makes the text of a turn, given its number in the talk.
    turns
        Length of a talk on average.
    thinks
        Share of answers that come with a reasoning item, which the next turns of the same talk carry back.
    median
        Median length of an answer in tokens.
    """

    __slots__ = (
        "_ended",
        "_harness",
        "_history",
        "_id",
        "_last",
        "_median",
        "_refs",
        "_rnd",
        "_system",
        "_text",
        "_thinks",
        "_turn",
    )

    def __init__(
        self,
        rnd: random.Random,
        text: Callable[[int], str],
        *,
        system: str | None = None,
        turns: float = 2.5,
        thinks: float = 0.0,
        median: int = 250,
        harness: str | None = None,
    ) -> None:
        self._rnd, self._text, self._system, self._thinks, self._median, self._harness = (
            rnd,
            text,
            system,
            thinks,
            median,
            harness,
        )
        self._ended = 1 / max(turns, 1.0)
        self._last, self._turn, self._history = -TALK_GAP_S, 0, 0
        self._id = ""
        self._refs: tuple[str, ...] = ()

    def ask(self, ts: float) -> Ask:
        """Go on with the talk, or open another."""
        rnd = self._rnd
        if not self._id or ts - self._last > TALK_GAP_S or rnd.random() < self._ended:
            self._id, self._turn, self._history, self._refs = conversation(rnd), 0, 0, ()
        text, answer = self._text(self._turn), length(rnd, self._median)
        made = Ask(text, self._system, answer, self._turn, self._id, self._history, self._refs, self._harness)
        self._last, self._turn, self._history = ts, self._turn + 1, self._history + len(text) // 4 + answer
        if self._thinks and rnd.random() < self._thinks:
            self._refs = (*self._refs[-7:], reasoning_item(rnd))
        return made


def chat(voice: Voice, rnd: random.Random, sentences: float = 4.0) -> Callable[[int], str]:
    """Return the texts of a person: a longer opening, shorter turns after it."""

    def text(turn: int) -> str:
        mean = sentences if turn == 0 else sentences / 2
        return voice.request(1 + int(rnd.expovariate(1 / mean)))

    return text


def coding(code: Codebase, voice: Voice, rnd: random.Random) -> Callable[[int], str]:
    """Return the texts of somebody who works on a program: words, then code or what a tool printed."""

    def text(turn: int) -> str:
        if turn == 0:
            return f"{voice.request(2)}\n\n{code.file()}:\n```\n{code.block(rnd.randrange(4, 16))}\n```"
        if rnd.random() < 0.7:
            return f"<tool_result file='{code.file()}'>\n{code.block(rnd.randrange(3, 22))}\n</tool_result>"
        return f"{voice.sentence()}{code.file()}"

    return text


def within(template: str, text: Callable[[int], str], *, standing: bool = False) -> Callable[[int], str]:
    """Return texts set into a template's {prompt}: the first of each talk, or as a `standing` order all of them."""

    def made(turn: int) -> str:
        return template.replace("{prompt}", text(turn)) if standing or turn == 0 else text(turn)

    return made


class Either:
    """Now this writer, now that: `second` for a share of the requests, from `since` on."""

    __slots__ = ("_first", "_rnd", "_second", "_share", "_since")

    def __init__(self, rnd: random.Random, first: Writer, second: Writer, share: float, since: float = 0.0) -> None:
        self._rnd, self._first, self._second, self._share, self._since = rnd, first, second, share, since

    def ask(self, ts: float) -> Ask:
        """Ask one of the two."""
        second = ts >= self._since and self._rnd.random() < self._share
        return (self._second if second else self._first).ask(ts)


class Suite:
    """The same questions in the same order, again and again: a nightly evaluation."""

    __slots__ = ("_logprobs", "_next", "_questions", "_rnd", "_system")

    def __init__(self, rnd: random.Random, questions: Sequence[str], system: str | None, *, logprobs: bool) -> None:
        self._rnd, self._questions, self._system, self._logprobs, self._next = rnd, questions, system, logprobs, 0

    def ask(self, ts: float) -> Ask:  # noqa: ARG002 - a writer may not care when it is asked
        """Ask the next question."""
        question = self._questions[self._next % len(self._questions)]
        self._next += 1
        return Ask(
            question,
            self._system,
            length(self._rnd, 40),
            conversation_id=conversation(self._rnd),
            logprobs=self._logprobs,
        )


class Crowd:
    """Many strangers behind one key: a few at a time, each with own talks, seen from where the key's owner sends.

    `clients` are the addresses that the provider sees; each stranger's client program shows through.
    """

    __slots__ = ("_agents", "_clients", "_here", "_rnd", "_strangers")

    def __init__(
        self, rnd: random.Random, strangers: Sequence[Writer], agents: Sequence[str], clients: Sequence[Client]
    ) -> None:
        self._rnd, self._strangers, self._agents, self._clients = rnd, strangers, agents, clients
        self._here = [rnd.randrange(len(strangers)) for _ in range(min(12, len(strangers)))]

    def ask(self, ts: float) -> Ask:
        """Let one of those who are here speak."""
        rnd = self._rnd
        seat = int(rnd.random() * len(self._here))
        if rnd.random() < 0.1:
            self._here[seat] = int(rnd.random() * len(self._strangers))
        who = self._here[seat]
        seen = self._clients[int(rnd.random() * len(self._clients))]
        client = Client(seen.ip, seen.asn, seen.country, self._agents[who % len(self._agents)], seen.tls_ja4)
        return self._strangers[who].ask(ts)._replace(client=client)


class Harvest:
    """A campaign's own requests: one template of a few times a slot, long answers, talks of `turns` on average.

    The wording of a template with {alternatives|other alternatives} is chosen at each request.
    """

    __slots__ = ("_exercises", "_rnd", "_talk", "_templates", "_turn", "_turns")

    def __init__(self, rnd: random.Random, templates: Sequence[str], exercises: Exercises, turns: float = 1.0) -> None:
        self._rnd, self._templates, self._exercises, self._turns = rnd, templates, exercises, turns
        self._talk, self._turn = "", 0

    def ask(self, ts: float) -> Ask:  # noqa: ARG002 - a writer may not care when it is asked
        """Fill the slot of one template."""
        rnd = self._rnd
        template = self._templates[int(rnd.random() * len(self._templates))]
        prompt = spun(template, rnd).replace("{slot}", self._exercises.request())
        answer, goes_on = length(rnd, 1400), self._turns > 1 and rnd.random() > 1 / self._turns
        self._turn = self._turn + 1 if goes_on and self._talk else 0
        self._talk = self._talk if self._turn else conversation(rnd)
        return Ask(prompt, None, answer, self._turn, self._talk, history_tokens=1500 * self._turn, harvest=True)


class Probing:
    """Tries one way to put it after the other, most of them refused; from `until` on another writer's requests.

    `technique` makes a template with a `{slot}`, another each time.
    """

    REFUSED = 0.65
    __slots__ = ("_exercises", "_rnd", "_technique", "_then", "_until")

    def __init__(
        self, rnd: random.Random, technique: Callable[[], str], exercises: Exercises, then: Writer, until: float
    ) -> None:
        self._rnd, self._technique, self._exercises, self._then, self._until = rnd, technique, exercises, then, until

    def ask(self, ts: float) -> Ask:
        """Try a technique."""
        if ts >= self._until:
            return self._then.ask(ts)
        prompt = self._technique().replace("{slot}", self._exercises.request())
        talk = conversation(self._rnd)
        return Ask(prompt, None, length(self._rnd, 700), conversation_id=talk, harvest=True, refused=self.REFUSED)


class Injected:
    """Another writer's requests, with one fixed sub-prompt in the share of them that is kept."""

    __slots__ = ("_rnd", "_share", "_sub_prompt", "_writer")

    def __init__(self, rnd: random.Random, writer: Writer, sub_prompt: str, share: float) -> None:
        self._rnd, self._writer, self._sub_prompt, self._share = rnd, writer, sub_prompt, share

    def ask(self, ts: float) -> Ask:
        """Pass a request on, with or without the sub-prompt."""
        ask = self._writer.ask(ts)
        if self._rnd.random() >= self._share:
            return ask
        return ask._replace(
            prompt=f"{ask.prompt}\n\n{self._sub_prompt}", answer_tokens=ask.answer_tokens * 2 + 300, harvest=True
        )


class Replayed:
    """Makes reasoning items in talks of its own, and sends items of other accounts' talks to have them transcribed.

    `stock` is shared by the whole campaign: (item, account that made it), at most `STOCK_MAX`.
    """

    STOCK_MAX = 400
    __slots__ = ("_me", "_orders", "_rnd", "_stock", "_talk")

    def __init__(
        self, rnd: random.Random, talk: Writer, orders: Sequence[str], stock: list[tuple[str, int]], me: int
    ) -> None:
        self._rnd, self._talk, self._orders, self._stock, self._me = rnd, talk, orders, stock, me

    def ask(self, ts: float) -> Ask:
        """Replay a foreign item where there is one, half of the time; else make one."""
        rnd = self._rnd
        foreign = [item for item, owner in rnd.sample(self._stock, min(4, len(self._stock))) if owner != self._me]
        if foreign and rnd.random() < 0.5:
            order = self._orders[int(rnd.random() * len(self._orders))]
            items = tuple(foreign[:1])
            return Ask(order, None, length(rnd, 1800), 0, conversation(rnd), 0, items, harvest=True)
        ask = self._talk.ask(ts)
        self._stock += [(item, self._me) for item in ask.reasoning_refs[-1:]]
        del self._stock[: -self.STOCK_MAX]
        return ask._replace(harvest=True)
