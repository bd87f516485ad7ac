// The questions that several pages ask Prometheus.
import { query, queryRange, Instant, Series } from "../api";
import { sinceSeconds } from "../route";
import { Line } from "./chart";

export const quote = (text: string) => text.replace(/[\\"]/g, "\\$&");
export const oneOf = (names: string[]) => names.map((n) => n.replace(/[^a-zA-Z0-9_.-]/g, "")).join("|");

// Wide enough for two scrapes, whatever the page's window is.
export const rateWindow = (step: number) => `${Math.max(30, Math.round(step * 4))}s`;

export interface Span { start: number; end: number; step: number }
export function span(): Span {
  const length = sinceSeconds();
  const end = Math.floor(Date.now() / 1000);
  const step = Math.max(5, Math.ceil(length / 120));
  return { start: end - length, end, step };
}

export async function lines(expression: string, name: (m: Record<string, string>) => string, signal?: AbortSignal, at = span()): Promise<Line[]> {
  const series = await queryRange(expression, at.start, at.end, at.step, signal);
  return series.map((s) => ({ name: name(s.metric), points: points(s) })).sort((a, b) => a.name.localeCompare(b.name));
}
export const points = (s: Series): [number, number][] => s.values.map(([t, v]) => [t * 1000, Number(v)]);
export const valueOf = (i: Instant) => Number(i.value[1]);

export interface Golden { rate: number; errors: number; p50: number; p95: number; p99: number }
const none = (): Golden => ({ rate: 0, errors: 0, p50: NaN, p95: NaN, p99: NaN });

// Rate, errors and durations grouped by labels of the destination's own reports (and the source's for what never
// arrived).
export async function golden(by: string[], match: string, signal?: AbortSignal): Promise<Map<string, Golden>> {
  const window = `${Math.max(30, Math.min(sinceSeconds(), 3600))}s`;
  const labels = by.join(",");
  const total = `sum by (${labels}) (rate(istio_requests_total{reporter="destination",${match}}[${window}]))`;
  const bad = `sum by (${labels}) (rate(istio_requests_total{reporter="destination",response_code=~"5..|0",${match}}[${window}]))`;
  const quantile = (q: number) =>
    `histogram_quantile(${q}, sum by (${labels},le) (rate(istio_request_duration_milliseconds_bucket{reporter="destination",${match}}[${window}])))`;
  const found = new Map<string, Golden>();
  const put = (rows: Instant[], key: keyof Golden) => {
    for (const row of rows) {
      const id = by.map((l) => row.metric[l] ?? "").join("/");
      const entry = found.get(id) ?? none();
      entry[key] = valueOf(row);
      found.set(id, entry);
    }
  };
  const [a, b, c, d, e] = await Promise.all([query(total, signal), query(bad, signal), query(quantile(0.5), signal), query(quantile(0.95), signal), query(quantile(0.99), signal)]);
  put(a, "rate");
  put(b, "errors");
  put(c, "p50");
  put(d, "p95");
  put(e, "p99");
  return found;
}
