"""Real Kafka, PostgreSQL and Valkey in seconds, for development, demo and tests, without Docker or Java."""

from modelyard_stack.addresses import Addresses
from modelyard_stack.errors import ServerFailedError, StackError
from modelyard_stack.server import Server
from modelyard_stack.stack import Stack, fetch

__all__ = ["Addresses", "Server", "ServerFailedError", "Stack", "StackError", "fetch"]
