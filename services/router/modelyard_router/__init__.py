"""The router: decides which model version answers a request, and predicts by it.

Its whole state is the routing table that `state` keeps from the compacted routes topic. A request goes downward:
`http` (the hot path) → `operations` (one module for each) → `prediction` (its steps) → `decider`; `adapters` ask
endpoints, feature sources and the cache, `facts` records what happened. `app` wires all of it.
"""
