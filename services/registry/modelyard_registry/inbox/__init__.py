"""Facts from Kafka, applied once: offsets, dedupe keys and sequences are stored in the transaction of the effects."""
