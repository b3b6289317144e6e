"""What can be set about Kafka."""

from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr, model_validator

from stream_guard.settings import Settings

Half = Literal["accounts", "population"]


class TopicNames(Settings):
    """What the topics are called. `stream-guard topics create` makes them, `topics check` compares them."""

    requests: str = "llm.requests"
    """In: request events, keyed by account."""
    accounts: str = "stream-guard.accounts"
    """In: facts of accounts (plan, age, payment), compacted, partitioned as the requests are."""
    feedback: str = "stream-guard.feedback"
    """In: the word of analysts."""
    releases: str = "stream-guard.releases"
    """In: models that became available."""
    enforcement: str = "stream-guard.enforcement"
    """In: what others did about accounts, such as bans."""
    decisions: str = "stream-guard.decisions"
    """Out: rate-limit decisions, compacted, keyed by account."""
    alerts: str = "stream-guard.alerts"
    """Out: notices for people."""
    campaigns: str = "stream-guard.campaigns"
    """Out: campaigns and how they change, keyed by campaign."""
    dead_letters: str = "stream-guard.dead-letters"
    """Out: payloads that could not be decoded, each with reason, topic, partition and offset."""
    summaries: str = "stream-guard.summaries"
    """Between the halves: what the account halves report."""
    verdicts: str = "stream-guard.verdicts"
    """Between the halves: what the population half answers."""


class KafkaSettings(Settings):
    """How to reach Kafka and how to work with it."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Where to begin: `host:port`, several separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How connections are protected."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we prove who we are, where the protocol is one of SASL."""
    sasl_username: str | None = None
    """Who we are."""
    sasl_password: SecretStr | None = None
    """What proves it; better given as a file, `sasl_password_file`."""
    ssl_ca_file: Path | None = None
    """Certificates (PEM) that may sign the brokers' certificates; without it, those of the system."""
    ssl_certificate_file: Path | None = None
    """Our own certificate (PEM), where brokers ask for one."""
    ssl_key_file: Path | None = None
    """The key (PEM) of our own certificate, if it is not in the same file."""

    topics: TopicNames = TopicNames()
    partitions: Annotated[int, Ge(1), Le(1024)] = 12
    """Partitions of the requests and of what is keyed like them, when the topics are made: as many workers at most."""
    replication_factor: Annotated[int, Ge(-1), Le(16)] = -1
    """Copies of each partition, when the topics are made; -1 leaves it to the brokers."""

    connect_timeout_s: Annotated[float, Gt(0.0), Le(300.0)] = 3.0
    """How long a worker that starts, and each command, tries to reach a broker before it says that there is none."""

    group: str = "stream-guard"
    """First part of the names of our consumer groups: `GROUP-accounts` and `GROUP-population`."""
    instance: str | None = None
    """A name for this worker, its own and the same after a restart (such as its host name): a worker that comes back
    within the session timeout takes up its partitions at once, and the others notice nothing."""
    session_timeout_s: Annotated[float, Ge(1.0), Le(300.0)] = 10.0
    """A worker that is silent for so long loses its partitions to the others."""

    snapshots_dir: Path = Path("stream-guard-data/kafka")
    """Where the state of each partition is kept. Several workers must share it (a network file system): whichever owns
    a partition next goes on from there."""
    batch_events_max: Annotated[int, Ge(1), Le(10_000)] = 2_000
    """Events in one call of the engine: about 50 ms of work, in which heartbeats wait."""
    fetch_bytes_max: Annotated[int, Ge(65_536), Le(1 << 28)] = 4 << 20
    """Bytes fetched at once from one partition."""
    flush_interval_s: Annotated[float, Gt(0.0), Le(60.0)] = 0.5
    """How often reports go to the population half, and what was written is waited for."""
    snapshot_interval_s: Annotated[float, Gt(0.0), Le(3_600.0)] = 10.0
    """How often each partition's state is saved and its offset committed: what is read again after a crash."""
    idle_s: Annotated[float, Gt(0.0), Le(3_600.0)] = 5.0
    """Seconds without an event after which the engine is told that time goes on, so that what is due expires."""
    commit_timeout_s: Annotated[float, Gt(0.0), Le(60.0)] = 5.0
    """How long a commit may take before it is given up; the next one covers it."""
    dead_letters_share_max: Annotated[float, Gt(0.0), Le(1.0)] | None = None
    """Stop rather than dead-letter more than this share of a partition's last 1,000 payloads or more; null: never.
    What led to the stop is read again after the next start."""

    @model_validator(mode="after")
    def _fits_together(self) -> "KafkaSettings":
        sasl = self.security_protocol.startswith("SASL")
        if sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if not sasl and (self.sasl_username or self.sasl_password):
            raise ValueError(f"sasl_username and sasl_password mean nothing with {self.security_protocol}")
        files = self.ssl_ca_file or self.ssl_certificate_file or self.ssl_key_file
        if files and not self.security_protocol.endswith("SSL"):
            raise ValueError(f"ssl_*_file mean nothing with security_protocol {self.security_protocol}")
        if self.ssl_key_file and not self.ssl_certificate_file:
            raise ValueError("ssl_key_file needs ssl_certificate_file")
        names = list(self.topics.model_dump().values())
        if len(set(names)) < len(names):
            raise ValueError("two topics have the same name")
        return self
