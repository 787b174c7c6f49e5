// Figures of /metrics: Prometheus' text as numbers, and rates with their intervals.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Read Prometheus' text: name -> list of { labels, value }. */
export function readMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = LINE.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    const samples = found.get(parts[1]) ?? [];
    samples.push({ labels, value: Number(parts[3]) });
    found.set(parts[1], samples);
  }
  return found;
}

/** The sum of a metric over the samples that `where` holds of. */
export const total = (metrics, name, where = () => true) =>
  (metrics.get(name) ?? []).filter((one) => where(one.labels)).reduce((sum, one) => sum + one.value, 0);

/** Wilson's interval of 95%; nothing where there are no trials. */
export function interval(successes, trials) {
  if (!trials) return null;
  const z = 1.959964;
  const share = Math.min(successes / trials, 1);
  const scale = 1 + (z * z) / trials;
  const middle = (share + (z * z) / (2 * trials)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** Shown items, and those of them that were clicked and bought, by version and variant: the latest version last. */
export function rates(metrics) {
  const rows = new Map();
  for (const [name, what] of [["found", "shown"], ["clicked", "clicks"], ["bought", "purchases"]]) {
    for (const { labels: { version, variant }, value } of metrics.get(`beauty_rec_${name}_items_total`) ?? []) {
      const key = `${version}\n${variant}`;
      if (!rows.has(key)) rows.set(key, { version, variant, shown: 0, clicks: 0, purchases: 0 });
      rows.get(key)[what] += value;
    }
  }
  return [...rows.values()];
}

/** The time within which a share of the answers of a route came, in ms, from the histogram. */
export function quantile(metrics, name, share, where) {
  const buckets = (metrics.get(`${name}_bucket`) ?? []).filter((one) => where(one.labels))
    .map((one) => [one.labels.le === "+Inf" ? Infinity : Number(one.labels.le), one.value])
    .sort((x, y) => x[0] - y[0]);
  const all = buckets.at(-1)?.[1] ?? 0;
  if (!all) return null;
  const place = buckets.findIndex(([, count]) => count >= share * all);
  const [above, count] = buckets[place];
  const [below, before] = place ? buckets[place - 1] : [0, 0];
  if (above === Infinity) return below * 1000;
  return 1000 * (below + (above - below) * ((share * all - before) / Math.max(count - before, 1)));
}
