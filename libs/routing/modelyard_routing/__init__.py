"""Which model version answers a request: a pure function of the routing table and the request.

`routing_table` compiles what the registry says, `decide` reads it, `receipt` says why; `bucketing` and
`allocation` are the hashing underneath. Nothing here does I/O: the router, an in-process library and the
tests get the same answers from the same inputs.
"""
