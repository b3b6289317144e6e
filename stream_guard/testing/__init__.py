"""Fakes, faults and a real Kafka broker: what our tests stand on, for the tests of others too."""
