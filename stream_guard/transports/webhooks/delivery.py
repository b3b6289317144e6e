"""From the outbox to the receivers: signed, tried again, never followed elsewhere."""

import asyncio
import contextlib
import logging
import random
import secrets
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx
from standardwebhooks import Webhook

from stream_guard import __version__
from stream_guard.codecs import encode
from stream_guard.transports.webhooks.outbox import DeliveryObserver, Message, Result, WebhookOutbox, iso
from stream_guard.transports.webhooks.settings import WebhookEndpoint, WebhookSettings

SCHEDULE_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds from one attempt to the next, as the specification proposes; the last again until a message is too old."""
JITTER = 0.2
PAUSE_S_MAX = 300.0
"""A receiver that answers nothing is left alone for 5 seconds, twice as long each time, at most for this."""
RETRY_AFTER_S_MAX = 86_400.0
IDLE_S_MAX = 60.0
ANSWER_BYTES_MAX = 1 << 16
"""How much of an answer is read so that the connection can be used again."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Answer:
    """How one attempt ended: the status, or in words why there is none."""

    status: int | None
    why: str = ""
    retry_after_s: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver took the message."""
        return self.status is not None and HTTPStatus(200) <= self.status < HTTPStatus.MULTIPLE_CHOICES


@dataclass(slots=True)
class _Lane:
    """The way to one receiver."""

    endpoint: WebhookEndpoint
    failures: int = 0
    paused_until: float = 0.0
    disabled: bool = False
    signers: tuple[Webhook, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.signers = tuple(Webhook(secret.get_secret_value()) for secret in self.endpoint.secrets)


class WebhookDelivery:
    """Delivers what is in the outbox.

    Every attempt is signed anew, with its own time. A receiver's failures delay no other receiver. While nothing gets
    through to a receiver, single messages are tried, at growing intervals; after 410 Gone none until the next start.

    Parameters
    ----------
    outbox
        What is to be delivered.
    settings
        The receivers and the limits.
    clock
        Seconds since 1970.
    jitter
        Makes random numbers between 0 and 1.
    observer
        Told how attempts ended.
    """

    def __init__(
        self,
        outbox: WebhookOutbox,
        settings: WebhookSettings,
        *,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
        observer: DeliveryObserver | None = None,
    ) -> None:
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._observer = observer
        self._lanes = {endpoint.name: _Lane(endpoint) for endpoint in settings.endpoints}
        self._client = make_client(settings)

    async def run(self) -> None:
        """Deliver until cancelled."""
        try:
            async with asyncio.TaskGroup() as lanes:
                for name in self._lanes:
                    lanes.create_task(self._serve(name), name=f"webhooks to {name}")
        finally:
            await self.close()

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def deliver_due(self, name: str) -> int:
        """Try once to deliver what is due to one receiver; returns how many messages were tried. Raises SinkError."""
        lane, now = self._lanes[name], self._clock()
        await asyncio.to_thread(self._outbox.expire, name)
        if lane.disabled or now < lane.paused_until:
            return 0
        limit = 1 if lane.failures else self._settings.concurrency
        messages = await asyncio.to_thread(self._outbox.due, name, now, limit)
        if messages:
            answers = await asyncio.gather(*(self._post(lane, message) for message in messages))
            await self._settle(lane, list(zip(messages, answers, strict=True)))
        return len(messages)

    @property
    def disabled(self) -> dict[str, bool]:
        """Which receivers have answered 410 Gone."""
        return {name: lane.disabled for name, lane in self._lanes.items()}

    async def _serve(self, name: str) -> None:
        while True:
            arrived = self._outbox.arrived
            if await self.deliver_due(name):
                continue
            lane, now = self._lanes[name], self._clock()
            due = await asyncio.to_thread(self._outbox.next_due, name)
            wait = IDLE_S_MAX if due is None or lane.disabled else max(due, lane.paused_until) - now
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(wait, 0.0), IDLE_S_MAX)):
                    await arrived.wait()

    async def _post(self, lane: _Lane, message: Message) -> Answer:
        headers = signed_headers(lane.signers, message.id, message.body, self._clock())
        return await post(
            self._client, lane.endpoint.url, message.body, headers, self._settings.timeout_s, self._clock()
        )

    async def _settle(self, lane: _Lane, tried: list[tuple[Message, Answer]]) -> None:
        now, name = self._clock(), lane.endpoint.name
        delivered = [message.id for message, answer in tried if answer.delivered]
        failed = [(message, answer) for message, answer in tried if not answer.delivered]
        if any(answer.status == HTTPStatus.GONE for _, answer in failed):
            lane.disabled = True
            _log.error("webhooks to %s: the receiver answered 410 Gone; nothing is sent until the next start", name)
        lane.failures = 0 if delivered else lane.failures + 1
        pause = 0.0 if delivered else min(SCHEDULE_S[0] * 2.0 ** (lane.failures - 1), PAUSE_S_MAX)
        lane.paused_until = now + max([pause, *(answer.retry_after_s for _, answer in failed)])
        again = [(message.id, now + self._delay(message, answer)) for message, answer in failed]
        await asyncio.to_thread(self._outbox.settle, delivered, again)
        self._tell(name, "delivered", len(delivered))
        self._tell(name, "failed", len(failed))
        if failed:
            _log.warning("webhooks to %s: %d not delivered: %s", name, len(failed), failed[0][1].why)

    def _delay(self, message: Message, answer: Answer) -> float:
        scheduled = SCHEDULE_S[min(message.attempts, len(SCHEDULE_S) - 1)]
        return max(scheduled, answer.retry_after_s) * (1 + JITTER * self._jitter())

    def _tell(self, name: str, outcome: Result, count: int) -> None:
        if count and self._observer:
            self._observer.settled(name, outcome, count)


def make_client(settings: WebhookSettings) -> httpx.AsyncClient:
    """Return a client that goes nowhere but where it is sent: no redirects, no proxy of the environment."""
    verify = ssl.create_default_context(cafile=str(settings.ca_file)) if settings.ca_file else True
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        proxy=settings.proxy,
        verify=verify,
        timeout=settings.timeout_s,
        headers={"user-agent": f"stream-guard/{__version__}", "content-type": "application/json"},
    )


def signed_headers(signers: tuple[Webhook, ...], message_id: str, body: bytes, now: float) -> dict[str, str]:
    """Return the three headers of an attempt, with a signature for each secret."""
    at = datetime.fromtimestamp(int(now), UTC)
    signatures = [signer.sign(message_id, at, body.decode()) for signer in signers]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signatures),
    }


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str], timeout_s: float, now: float
) -> Answer:
    """Make one attempt; whatever happens is an answer."""
    try:
        async with asyncio.timeout(timeout_s), client.stream("POST", url, content=body, headers=headers) as response:
            size = 0
            async for piece in response.aiter_raw():
                size += len(piece)
                if size > ANSWER_BYTES_MAX:
                    break
            status = response.status_code
            return Answer(status, f"answered {status}", _retry_after_s(response.headers.get("retry-after"), now))
    except TimeoutError:
        return Answer(None, f"no answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Answer(None, f"{type(error).__name__}: {error}")


def _retry_after_s(value: str | None, now: float) -> float:
    """Read `Retry-After`: seconds, or a date.

    Examples
    --------
    >>> _retry_after_s("120", 0.0), _retry_after_s("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), _retry_after_s("soon", 0.0)
    (120.0, 40.0, 0.0)
    """
    if value is None:
        return 0.0
    try:
        seconds = float(value) if value.isdecimal() else parsedate_to_datetime(value).timestamp() - now
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_S_MAX)


async def try_endpoints(settings: WebhookSettings, endpoints: Sequence[WebhookEndpoint]) -> dict[str, Answer]:
    """Post a message of type `webhook.test` to each endpoint, once; returns the answers by name."""
    now = time.time()
    answers = {}
    async with make_client(settings) as client:
        for endpoint in endpoints:
            message_id = f"msg_test_{secrets.token_hex(8)}"
            body = encode({"type": "webhook.test", "timestamp": iso(now), "data": {"endpoint": endpoint.name}})
            headers = signed_headers(_Lane(endpoint).signers, message_id, body, now)
            answers[endpoint.name] = await post(client, endpoint.url, body, headers, settings.timeout_s, now)
    return answers
