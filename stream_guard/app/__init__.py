"""The embedded compositions: a replay of recorded traffic, and the service that runs beside a gateway without Kafka."""
