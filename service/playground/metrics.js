// The service's Prometheus metrics, as far as the models page shows them.

const LINE = /^(\w+)\{([^}]*)\} (\S+)$/;
const LABEL = /(\w+)="([^"]*)"/g;
const MEMBERS = {
  latent_run_seconds_sum: "seconds",
  latent_run_seconds_count: "runs",
  latent_batch_rows_sum: "rows",
  latent_queue_rows: "waiting",
};

// Returns per model the runs so far, the seconds and rows of all of them, and the rows that wait.
export function load(text) {
  const models = new Map();
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    const member = found && MEMBERS[found[1]];
    if (!member) continue;
    const { model } = Object.fromEntries([...found[2].matchAll(LABEL)].map(([, name, value]) => [name, value]));
    const one = models.get(model) ?? { seconds: 0, runs: 0, rows: 0, waiting: 0 };
    one[member] += Number(found[3]);
    models.set(model, one);
  }
  return { models };
}
