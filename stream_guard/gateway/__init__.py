"""What API gateways and people ask over HTTP: check, accounts, campaigns, decisions as they are made; and events in."""
