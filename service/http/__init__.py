"""Between a socket and a route: connections, limits, headers."""
