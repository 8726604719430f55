"""From the outbox to Kafka: the relay, what it sends, who may send it, and the repair of `routes`."""
