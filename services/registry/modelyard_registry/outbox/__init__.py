"""The outbox: the relay sends its rows to Kafka in order, sets refused ones aside, and repairs state documents."""
