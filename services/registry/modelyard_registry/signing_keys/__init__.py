"""Signing keys: public keys that prove who sent an event, each bound to an actor and a project."""
