"""What every service needs to run well, each thing in a module whose name says what it is.

`consume` is the one consumer policy, `publish` the way out; `lifecycle`, `health`, `logs` and `metrics`
make a service operable; `problems` and `principals` are its door; `fetch` is the only way to a URL.
"""
