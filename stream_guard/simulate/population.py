"""The accounts of one stream: what each is, when it asks, and what its requests look like from outside."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stream_guard.events import AccountFacts, Client, RequestEvent
from stream_guard.simulate.people import DAY_S, Rhythm, arrivals
from stream_guard.simulate.talks import Ask, Writer

MODELS = ("large-4", "medium-4", "small-4")
NEW_MODEL = "large-5"
"""Comes out in every stream, `World.release_ts`, in place of the first of `MODELS`."""
RELEASED = 0.45
"""When it comes out, as a share of the stream's time."""
TAKERS = 0.1
"""Share of honest accounts that take it within two days."""


class Label(NamedTuple):
    """The truth about one request: what its account is, and whether this request is part of a harvest.

    `campaign` is None for an honest account; `pool` is 2 for the accounts that take over from banned ones.
    """

    kind: str
    campaign: str | None = None
    harvest: bool = False
    pool: int = 1


@dataclass(slots=True)
class Account:
    """One account. Times in seconds UTC; `visits` are requests on top of its rhythm.

    It grows to its full volume over the first `ramp_s` seconds. From `takes_ts` on it asks for the new model, over
    `takes_s` seconds rising to a share of `takes` of its requests.
    """

    account_id: str
    label: Label
    writer: Writer
    per_day: float
    rhythm: Rhythm
    shift: int
    seen: Sequence[Client]
    facts: AccountFacts
    begin: float
    end: float
    org_id: str | None = None
    models: tuple[str, ...] = MODELS[:1]
    max_tokens: tuple[int, ...] = (2048,)
    temperature: float = 0.7
    shows_talks: bool = True
    tools: bool | None = None
    rotates: bool = False
    refused: float = 0.008
    visits: list[float] = field(default_factory=list)
    ramp_s: float = 0.0
    takes: float = 0.0
    takes_ts: float = math.inf
    takes_s: float = 3600.0
    requests: int = 0

    def times(self, rnd: random.Random, day: float) -> list[float]:
        """Return when it asks on the day that begins at `day`."""
        if day >= self.end or day + DAY_S <= self.begin:
            return []
        per_day = self.per_day
        if self.ramp_s:
            per_day *= min(1.0, max(0.0, day + DAY_S - self.begin) / self.ramp_s)
        made = [day + at for at in arrivals(rnd, per_day, self.rhythm, self.shift)]
        made += [at for at in self.visits if day <= at < day + DAY_S]
        return [at for at in made if self.begin <= at < self.end]

    def request(self, rnd: random.Random, ts: float) -> tuple[RequestEvent, Label]:
        """Return the request that it makes at `ts`."""
        draw = rnd.random
        ask = self.writer.ask(ts)
        self.requests += 1
        limit = self.max_tokens[int(draw() * len(self.max_tokens))]
        label = self.label if ask.harvest == self.label.harvest else self.label._replace(harvest=ask.harvest)
        chance = self.refused if ask.refused is None else ask.refused
        return self._event(ask, ts, limit, refused=draw() < chance, draw=draw()), label

    def _model(self, ts: float, draw: float) -> str:
        """Return the model asked for; `draw` decides, as it does where the request comes from."""
        risen = self.takes * min(1.0, (ts - self.takes_ts) / self.takes_s) if ts > self.takes_ts else 0.0
        return NEW_MODEL if draw * 1009.0 % 1.0 < risen else self.models[int(draw * len(self.models))]

    def _event(self, ask: Ask, ts: float, limit: int, *, refused: bool, draw: float) -> RequestEvent:
        answer = 24 if refused else min(ask.answer_tokens, limit)
        place = int(draw * len(self.seen)) if self.rotates else int(ts // 14_400) % len(self.seen)
        return RequestEvent(
            event_id=f"ev{self.account_id[4:]}_{self.requests}",
            ts=ts,
            account_id=self.account_id,
            model=self._model(ts, draw),
            org_id=self.org_id,
            api_key_id=f"key{self.account_id[4:]}",
            operation="chat",
            conversation_id=ask.conversation_id if self.shows_talks else None,
            turn=ask.turn,
            status=200,
            finish_reason="refusal" if refused else "length" if answer >= limit else "stop",
            stream=not self.rotates,
            system=ask.system,
            prompt=ask.prompt,
            input_tokens=(len(ask.prompt) + len(ask.system or "")) // 4 + 1 + ask.history_tokens,
            output_tokens=answer,
            max_tokens=limit,
            temperature=self.temperature,
            logprobs=ask.logprobs,
            tools=self.tools,
            reasoning_refs=ask.reasoning_refs,
            harness=ask.harness,
            client=ask.client or self.seen[place],
            account=self.facts,
        )


class World:
    """What the accounts of one stream are made from: chance, the time it covers, how much machines send."""

    def __init__(self, seed: str, start: float, days: float, volume: float) -> None:
        self.rnd = random.Random(seed)
        self.start, self.days, self.volume = start, days, volume
        self.end = start + days * DAY_S
        self.accounts: list[Account] = []

    def new_id(self) -> str:
        """Return the id of a new account."""
        return f"acct_{self.rnd.getrandbits(44):011x}"

    @property
    def release_ts(self) -> float:
        """When the new model comes out."""
        return self.at(RELEASED * self.days)

    def at(self, day: float) -> float:
        """Return the time that is `day` days into the stream, in seconds UTC."""
        return self.start + day * DAY_S

    def long_ago(self, days: float = 200.0) -> float:
        """Return when an ordinary account was created."""
        return self.start - 3600 - self.rnd.expovariate(1 / days) * DAY_S
