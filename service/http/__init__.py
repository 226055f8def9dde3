"""From a socket to a route and back: connections, limits, keys, errors.

Five clocks limit how long one request can hold anything up. None is a timer of a single request, which would
cost as much as decoding its image: each scans all that is open.

    every           scans           in                          and then
    0.02 s          open requests   http/open_requests.py       504 past the deadline, 408 for a slow body
    each batch      queued rows     inference/batcher.py        504 for rows whose deadline has passed
    0.25 s          runs of graphs  inference/run_watchdog.py   aborts a run that takes far too long
    0.5 s           connections     http/connection_limits.py   closes those slow or idle for too long
    0.5 s           heartbeats      workers/supervisor.py       replaces a worker whose event loop hangs
"""
