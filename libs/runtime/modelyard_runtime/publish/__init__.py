"""Publishing: events whose acknowledgement is awaited, and facts for observers that nobody waits for."""

from modelyard_runtime.publish.fact_queue import FactQueue
from modelyard_runtime.publish.publisher import Publication, Publisher, build_producer, build_single_producer

__all__ = ["FactQueue", "Publication", "Publisher", "build_producer", "build_single_producer"]
