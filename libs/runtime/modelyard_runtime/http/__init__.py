"""How every service is served over HTTP: connections with limits, the names of requests, and the documentation."""
