"""One commit: the state that changes, its audit entries and its outbox rows are written together, or not at all."""

from modelyard_registry.transactions.unit_of_work import Pool, RequestContext, Transaction, UnitOfWork

__all__ = ["Pool", "RequestContext", "Transaction", "UnitOfWork"]
