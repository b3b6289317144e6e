"""`stream-guard worker` as it is: the real engine, the API beside it."""

import re

import httpx
from staging import event, eventually, stop


def test_the_worker_answers_about_what_it_read(stage):
    """What Kafka brought is what the API and the metrics tell."""
    events = [event(n, f"a{n % 20}", prompt=f"a question about the number {n}") for n in range(600)]
    stage.produce([*events, b"{bad"])
    worker = stage.start("worker", "--port", "0")
    address = eventually(lambda: re.search(r"listening on (http://\S+)", worker.log.read_text()))[1]

    with httpx.Client(base_url=address) as ask:
        eventually(lambda: ask.get("/readyz").status_code == 200)
        accounts = eventually(
            lambda: (
                (found := [ask.get(f"/v1/accounts/a{n}").json() for n in range(20)])
                and all(account.get("requests") == 30 for account in found)
                and found
            )
        )
        metrics = ask.get("/metrics").text
        checked = ask.get("/v1/check", params={"account_id": "nobody"}).json()
    stop(worker)

    assert {account["account_id"] for account in accounts} == {f"a{n}" for n in range(20)}
    assert sum(float(n) for n in re.findall(r"stream_guard_events_total\{.*?\} (\S+)", metrics)) == 600
    assert 'stream_guard_dead_letters_total{reason="not_json"} 1.0' in metrics
    assert checked["action"] == "allow"
