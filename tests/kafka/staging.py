"""A place on the broker for one test: its topics, its workers, what it may ask and wait for."""

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import rules
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from stream_guard.transports.kafka import tools

WAIT_S = 120.0
"""How long a test waits for anything before it fails: on a machine with nothing else to do, a tenth is enough."""

STREAM_GUARD = [sys.executable, "-m", "stream_guard"]
FORKS = multiprocessing.get_context("forkserver")
"""Workers are processes of their own, forked from one that has imported everything: seconds saved at each start."""

FORKS.set_forkserver_preload(["stream_guard.app.kafka"])

numbers = itertools.count(1)


def eventually(condition, what=None):
    """Return what the condition returns once it is true; fail when it takes too long."""
    deadline = time.monotonic() + WAIT_S
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not within {WAIT_S:.0f} s: {what() if what else condition}"
        time.sleep(0.05)


def event(number, account, prompt="hello", **fields):
    return {"event_id": f"e{number}", "ts": 1_777_000_000.0 + number, "account_id": account, "model": "m"} | {
        "prompt": prompt,
        **fields,
    }


class Stage:
    """One test's place on the broker."""

    def __init__(self, settings, tmp_path):
        self.settings = settings
        self.tmp_path = tmp_path
        self.config = tmp_path / "config.json"
        self._configure(settings)
        self._processes = []

    def _configure(self, settings):
        # JSON is YAML.
        self.config.write_text(json.dumps({"kafka": json.loads(settings.model_dump_json())}))

    def configure(self, **changes):
        self.settings = self.settings.model_copy(update=changes)
        self._configure(self.settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def worker(self, halves="accounts,population", name="worker"):
        """Start a worker whose judgement is that of `rules.py`."""
        log = self.tmp_path / f"{name}.log"
        log.touch()
        process = FORKS.Process(target=rules.main, args=(str(self.config), halves, str(log)))
        process.start()
        worker = Forked(process, log)
        self._processes.append(worker)
        return worker

    def start(self, *arguments, name="stream-guard"):
        """Start a command of stream-guard."""
        return self._spawn([*STREAM_GUARD, *arguments, "--config", str(self.config)], name)

    def _spawn(self, command, name):
        log = self.tmp_path / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        process.log = log
        self._processes.append(process)
        return process

    def run(self, *arguments, **options):
        """Run a command of stream-guard to its end."""
        command = [*STREAM_GUARD, *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False, **options)

    def produce(self, events):
        """Feed events (records, or lines as bytes)."""
        path = self.tmp_path / f"events-{next(numbers)}.jsonl"
        path.write_bytes(b"".join((e if isinstance(e, bytes) else json.dumps(e).encode()) + b"\n" for e in events))
        tools.produce(self.settings, [str(path)])

    def tell(self, topic, key, value):
        """Put one record on a topic."""
        producer = KafkaProducer(bootstrap_servers=self.settings.bootstrap_servers)
        producer.send(topic, json.dumps(value).encode(), key=key.encode()).get(timeout=WAIT_S)
        producer.close()

    def records(self, topic):
        """Everything on a topic, as Kafka's records."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.bootstrap_servers, auto_offset_reset="earliest", group_id=None
        )
        try:
            sources = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
            consumer.assign(sources)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(sources)
            found = []
            while any(consumer.position(source) < ends[source] for source in sources):
                for batch in consumer.poll(timeout_ms=200).values():
                    found += batch
            return found
        finally:
            consumer.close()

    def read(self, topic):
        """Everything on a topic, decoded."""
        return [json.loads(record.value) for record in self.records(topic)]

    def decisions(self):
        """Decisions by id. Two with the same id must be the same."""
        by_id = {}
        for record in self.read(self.settings.topics.decisions):
            assert by_id.setdefault(record["decision_id"], record) == record
        return by_id

    def until_decided(self, ids):
        """Wait for exactly these decisions; return them."""
        wanted = set(ids)
        return eventually(
            lambda: (found := self.decisions()) and wanted <= set(found) and found,
            lambda: f"missing {sorted(wanted - set(self.decisions()))[:5]}",
        )


class Forked:
    """A forked process, with the methods of `subprocess.Popen`."""

    def __init__(self, process, log):
        self._process = process
        self.pid = process.pid
        self.log = log

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=WAIT_S):
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"still runs after {timeout:.0f} s: {self.log.read_text()[-2000:]}"
        return self._process.exitcode

    def kill(self):
        self._process.kill()

    def send_signal(self, number):
        os.kill(self.pid, number)


def stop(process):
    """Stop a worker in an orderly way; it must say that all is well."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=WAIT_S) == 0, process.log.read_text()


def kill(process):
    """Stop a worker as a power cut would."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=WAIT_S)


def tenths(events):
    """The decisions that `rules.py` makes about the accounts of these events by themselves."""
    counts = {}
    for e in events:
        counts[e["account_id"]] = counts.get(e["account_id"], 0) + 1
    return {f"tenth-{account}-{n}" for account, count in counts.items() for n in range(10, count + 1, 10)}
