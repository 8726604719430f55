"""The registry: models, versions, stages, champions, routes, and the record of every change.

The only service with a database. What it decides leaves as facts on Kafka, in the transaction of the
change itself; nobody else needs the registry to be up.
"""
