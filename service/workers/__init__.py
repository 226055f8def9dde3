"""The processes: a supervisor, and in each worker uvicorn's server."""
