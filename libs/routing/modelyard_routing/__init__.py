"""Decides which model version answers a request: a pure function of the routing table and the request.

`routing_table` holds the compiled documents (`route`), `decide` applies the rules to them, `receipt` says why.
`bucketing` hashes units, `allocation` compares the hashes with shares. `selection_policy` says when an industry's
champion serves, `passed_over` which versions do not answer. Nothing here does I/O: the same inputs give the same
decision in the router, in an in-process library and in tests.
"""
