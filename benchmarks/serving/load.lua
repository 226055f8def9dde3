-- wrk -s load.lua URL -- BODIES PATH [RATE CONNECTIONS]
-- BODIES holds one request body per line. With RATE (requests per second over all connections) every
-- connection thinks for an exponential time between its requests: a nearly open loop.

local bodies, next_body, rate, connections = {}, 0, nil, 0

function init(args)
  wrk.method = "POST"
  wrk.path = args[2]
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(args[1]) do
    bodies[#bodies + 1] = wrk.format(nil, nil, nil, body)
  end
  rate, connections = tonumber(args[3]), tonumber(args[4])
  if not rate then delay = nil end
end

function delay()
  return math.floor(-math.log(1 - math.random()) * connections / rate * 1000)
end

function request()
  next_body = next_body % #bodies + 1
  return bodies[next_body]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %d, "seconds": %.4f, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
