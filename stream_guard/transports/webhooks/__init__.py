"""Decisions and alerts, told to whoever wants to know: signed as Standard Webhooks [1]_ say, kept until delivered.

    worker ─► WebhookOutbox (SQLite, in the same flush as everything else) ─► WebhookDelivery ─► receivers

The promises, which `docs/alerting.md` makes to receivers:

- **At least once.** A message is on disk before the state that made it is, and stays until a receiver has answered 2xx,
  it is too old, or the outbox is full. `webhook-id` follows from the record and the endpoint: a repeat has the same.
- **No order.** Who keeps state keeps, for each account, the decision with the latest `ts`.
- **A way back.** Once a decision about an account was sent, whatever ends it is sent too, although the endpoint did not
  ask for that action.

References
----------
.. [1] https://www.standardwebhooks.com, specification 1.0.0
"""
