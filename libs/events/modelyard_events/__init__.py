"""What Modelyard's services say to each other: envelope, topics, codec and typed events.

One module per producer holds its events; `topics` is the catalogue of where they go; `codec` turns
an event and its envelope into a Kafka record (CloudEvents 1.0) and back, without ever raising.
"""
