"""Clients of model endpoints, feature sources, the prediction cache and Kafka, one file each."""
