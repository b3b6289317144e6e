"""The table of topics: what each is for and how it must be set; make them, compare them.

Every topic is made before a worker starts: sending to one that is missing would stall for ever, and a topic that a
broker makes by itself has the wrong number of partitions and forgets at the wrong time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stream_guard.transports.kafka.clients import MESSAGE_BYTES_MAX, kafka_python_errors, kafka_python_options
from stream_guard.transports.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it should be. `configs` are Kafka's own names and values; what is not in it is the broker's."""

    name: str
    partitions: int
    key: str
    why: str
    configs: dict[str, str] = field(default_factory=dict)

    @property
    def kept(self) -> str:
        """How long, in words."""
        if self.configs["cleanup.policy"] == "compact":
            return "the last of each key"
        return f"{int(self.configs['retention.ms']) // _DAY_MS} days"


def _kept(days: int, **more: str) -> dict[str, str]:
    settings = {"cleanup.policy": "delete", "retention.ms": str(days * _DAY_MS)}
    return settings | {name.replace("_", "."): value for name, value in more.items()}


_COMPACTED = {"cleanup.policy": "compact"}
_LARGE = {"max_message_bytes": str(MESSAGE_BYTES_MAX)}


def table(settings: KafkaSettings) -> list[Topic]:
    """Return every topic, in the order of the way through the system."""
    names, many = settings.topics, settings.partitions
    return [
        Topic(
            names.requests,
            many,
            "account",
            "Request events. One account half works on each partition; seven days to catch up after an outage.",
            _kept(7),
        ),
        Topic(
            names.accounts,
            many,
            "account",
            "Facts of accounts. The last word on each is kept; as many partitions as the requests, so that the facts "
            "of an account meet its requests.",
            _COMPACTED,
        ),
        Topic(
            names.feedback, 1, "account or campaign", "The word of analysts; kept a year, to learn it anew.", _kept(365)
        ),
        Topic(names.releases, 1, "model", "Models that became available; a year.", _kept(365)),
        Topic(names.enforcement, 1, "account", "What others did about accounts; a year.", _kept(365)),
        Topic(
            names.decisions,
            many,
            "account",
            "Decisions. A gateway that starts reads the last one on each account, so that one is kept for good.",
            _COMPACTED,
        ),
        Topic(
            names.alerts,
            1,
            "account or campaign",
            "Notices for people; thirty days, in the order they were made.",
            _kept(30),
        ),
        Topic(names.campaigns, 1, "campaign", "Campaigns and how they changed; a year, as evidence.", _kept(365)),
        Topic(
            names.dead_letters,
            1,
            "partition",
            "Payloads that could not be decoded; fourteen days, to find out why.",
            _kept(14),
        ),
        Topic(
            names.summaries,
            1,
            "partition of the requests",
            "Reports of the account halves to the population half. One partition, as one instance works on it.",
            _kept(7, **_LARGE),
        ),
        Topic(
            names.verdicts,
            1,
            "none",
            "What the population half says to every account half; one that was away hears what it missed.",
            _kept(30, **_LARGE),
        ),
    ]


def create(settings: KafkaSettings) -> list[str]:
    """Make the topics that are missing, change nothing about others; returns the names made. Raises BrokerError."""
    with _admin(settings) as admin:
        present = set(admin.list_topics())
        missing = [topic for topic in table(settings) if topic.name not in present]
        if missing:
            wanted = {
                topic.name: {
                    "num_partitions": topic.partitions,
                    "replication_factor": settings.replication_factor,
                    "configs": topic.configs,
                }
                for topic in missing
            }
            admin.create_topics(wanted, wait_for_metadata=True)
        return [topic.name for topic in missing]


def check(settings: KafkaSettings) -> list[str]:
    """Return each difference between the topics and the table as a sentence; empty if there is none.

    More partitions than `partitions` are as good, as long as requests and facts have the same number. Raises
    BrokerError.
    """
    with _admin(settings) as admin:
        return [*_differences(admin, settings)]


def missing(settings: KafkaSettings) -> list[str]:
    """Return the names of the topics that are not there. Raises BrokerError."""
    with _admin(settings) as admin:
        present = set(admin.list_topics())
        return [topic.name for topic in table(settings) if topic.name not in present]


def _differences(admin: "KafkaAdminClient", settings: KafkaSettings) -> Iterator[str]:
    wanted = table(settings)
    partitions = _partitions(admin)
    configs = _configs(admin, [topic.name for topic in wanted if topic.name in partitions])
    for topic in wanted:
        if topic.name not in partitions:
            yield f"{topic.name}: is missing"
            continue
        has = partitions[topic.name]
        if topic.partitions == 1 and has != 1:
            yield f"{topic.name}: has {has} partitions, needs exactly 1"
        elif has < topic.partitions:
            yield f"{topic.name}: has {has} partitions, wants {topic.partitions}"
        for key, value in topic.configs.items():
            found = configs[topic.name].get(key)
            if found != value:
                yield f"{topic.name}: {key} is {found}, should be {value}"
    names = settings.topics
    requests, accounts = partitions.get(names.requests), partitions.get(names.accounts)
    if requests and accounts and requests != accounts:
        yield f"{names.accounts}: has {accounts} partitions, needs as many as {names.requests}, {requests}"


def _partitions(admin: "KafkaAdminClient") -> dict[str, int]:
    return {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}


def _configs(admin: "KafkaAdminClient", names: list[str]) -> dict[str, dict[str, Any]]:
    from kafka.admin import ConfigResource  # noqa: PLC0415 - see clients.py

    if not names:
        return {}
    described = admin.describe_configs([ConfigResource("topic", name) for name in names], config_filter="all")
    return {name: {key: of["value"] for key, of in described["topic"][name].items()} for name in names}


@contextmanager
def _admin(settings: KafkaSettings) -> Iterator["KafkaAdminClient"]:
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - see clients.py

    with kafka_python_errors(settings):
        admin = KafkaAdminClient(**kafka_python_options(settings))
        try:
            yield admin
        finally:
            admin.close()
