"""The service's own HTTP API: everything that takes a request, from its body to its answer."""
