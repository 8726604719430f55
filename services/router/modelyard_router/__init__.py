"""The router: which model version answers a request, and predictions by it.

Its whole state is the routing table that `state` keeps from the compacted routes topic. `http` is the hot path,
`handlers` decides, `predictor` predicts, `facts` says what happened; `app` is the map.
"""
