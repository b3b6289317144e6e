"""Kafka: events in, decisions out, and the two topics between the halves.

- `settings`    what can be set
- `clients`     connections: the options of each client library, errors mapped to ours
- `topics`      the table of topics; make them, compare them
- `sink`        what goes out
- `broadcast`   what every half hears: verdicts, feedback, releases, facts, bans
- `accounts`    one account half for each partition of the requests
- `population`  the population half, one active instance
- `ingest`      the fetch loop: whole batches, own offsets
- `app`         the Faust app around them
- `tools`       feed a topic, follow a topic
"""
