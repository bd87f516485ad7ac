// The graph's side panel: the whole, one node, one edge.
import { findTraces } from "../api";
import { h } from "../dom";
import { bytes, clock, duration, number, percent } from "../format";
import { color, spark } from "../parts/chart";
import { lines, quote, rateWindow, span } from "../parts/metrics";
import { dot, fillFrom } from "../parts/page";
import { link } from "../route";
import { Edge, Model, Node } from "./model";

export function detailLink(node: Node): string | undefined {
  const d = node.data;
  if (d.nodeType === "service" && d.service) return link("services", [d.namespace, d.service]);
  if (d.workload) return link("workloads", [d.namespace, d.workload]);
  if (d.app) return link("workloads", [], { find: d.app, namespaces: d.namespace });
  return undefined;
}

const figure = (name: string, value: string) => [h("dt", name), h("dd", value)];

export function summaryPanel(model: Model): HTMLElement {
  const roots = model.edges.filter((e) => model.nodes.find((n) => n.id === e.source)?.data.isRoot);
  const rate = roots.reduce((sum, e) => sum + e.rate, 0);
  const errors = roots.reduce((sum, e) => sum + e.errors, 0);
  const worst = [...model.edges].filter((e) => e.errors > 0).sort((a, b) => b.errors - a.errors).slice(0, 5);
  const slow = [...model.edges].filter((e) => Number.isFinite(e.p95)).sort((a, b) => b.p95 - a.p95).slice(0, 5);
  const name = (id: string) => {
    const n = model.nodes.find((x) => x.id === id);
    return n ? `${n.title}${n.subtitle ? " " + n.subtitle : ""}` : "?";
  };
  const list = (title: string, edges: Edge[], value: (e: Edge) => string) => edges.length
    ? [h("h3", title), h("table", edges.map((e) => h("tr", h("td", h("a", { href: link("graph", [], keep({ selected: e.id })) }, `${name(e.source)} → ${name(e.target)}`)), h("td.num", value(e)))))] : [];
  return h("div", h("h2", "In this window"),
    h("dl.figures", figure("Nodes", String(model.nodes.length)), figure("Edges", String(model.edges.length)), figure("Requests", `${number(rate)}/s`), figure("Errors", rate ? percent((100 * errors) / rate) : "–")),
    list("Most errors", worst, (e) => percent((100 * e.errors) / e.rate)),
    list("Slowest (p95)", slow, (e) => duration(e.p95)),
    h("p.soft", "Pick a node or an edge. Double-click or Enter opens a node."));
}

function keep(more: Record<string, string>): Record<string, string> {
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  return { ...Object.fromEntries(query), ...more };
}

function selector(node: Node, side: "source" | "destination"): string {
  const d = node.data;
  if (d.nodeType === "service") return `destination_service_name="${quote(d.service ?? "")}",destination_service_namespace="${quote(d.namespace)}"`;
  if (d.workload) return `${side}_workload="${quote(d.workload)}",${side}_workload_namespace="${quote(d.namespace)}"`;
  return `${side}_canonical_service="${quote(d.app ?? "")}",${side}_workload_namespace="${quote(d.namespace)}"`;
}

function charts(box: HTMLElement, match: string, signal: AbortSignal) {
  const at = span();
  const window = rateWindow(at.step);
  const one = async (title: string, expression: string, paint: string, format: (v: number) => string) => {
    const found = await lines(expression, () => "", signal, at);
    const points = found[0]?.points ?? [];
    return h("div", h("h3", title, " ", h("b", points.length ? format(points.at(-1)![1]) : "–")), spark(points, paint));
  };
  void fillFrom(box, signal, () => Promise.all([
    one("Requests", `sum(rate(istio_requests_total{reporter="destination",${match}}[${window}]))`, color(0), (v) => `${number(v)}/s`),
    one("Errors", `sum(rate(istio_requests_total{reporter="destination",response_code=~"5..|0",${match}}[${window}])) or vector(0)`, "var(--bad)", (v) => `${number(v)}/s`),
    one("p95 time", `histogram_quantile(0.95, sum by (le) (rate(istio_request_duration_milliseconds_bucket{reporter="destination",${match}}[${window}])))`, color(1), duration),
  ]));
}

function traces(box: HTMLElement, app: string, namespace: string, signal: AbortSignal) {
  const service = app.includes(".") ? app : `${app}.${namespace}`;
  void fillFrom(box, signal, async () => {
    const found = await findTraces({ service, limit: 5, end: Date.now() * 1000, start: (Date.now() - 3600e3) * 1000 }, signal);
    if (!found.length) return h("p.soft", `No traces of ${service} in the last hour.`);
    return h("table", found.map((t) => {
      const start = Math.min(...t.spans.map((s) => s.startTime));
      const end = Math.max(...t.spans.map((s) => s.startTime + s.duration));
      const isBad = t.spans.some((s) => s.tags.some((x) => x.key === "error" && x.value !== false && x.value !== "false"));
      return h("tr", h("td", h("a", { href: link("trace", [t.traceID]) }, clock(start / 1000))), h("td.num", `${t.spans.length} spans`), h("td.num", { class: isBad ? "bad" : "" }, duration((end - start) / 1000)));
    }));
  });
}

export function nodePanel(node: Node, model: Model, signal: AbortSignal): HTMLElement {
  const d = node.data;
  const series = h("div.soft", "…"), recent = h("div.soft", "…");
  charts(series, selector(node, "destination"), signal);
  const app = d.app ?? d.service ?? d.workload;
  if (app) traces(recent, app, d.namespace, signal);
  const to = detailLink(node);
  const peers = (edges: Edge[], end: "source" | "target") => edges.map((e) => {
    const other = model.nodes.find((n) => n.id === e[end]);
    return h("tr", h("td", dot(e.health), " ", h("a", { href: link("graph", [], keep({ selected: e.id })) }, `${other?.title ?? "?"} ${other?.subtitle ?? ""}`)), h("td.num", e.protocol === "tcp" ? `${bytes(e.bytes)}/s` : `${number(e.rate)}/s`));
  });
  const callers = model.edges.filter((e) => e.target === node.id), called = model.edges.filter((e) => e.source === node.id);
  return h("div",
    h("h2.row", dot(node.health), node.title, node.subtitle && node.subtitle !== "service" ? h("span.chip", node.subtitle) : null),
    h("div.row.soft", d.namespace, to ? h("a", { href: to }, "Details") : null, d.workload ? h("a", { href: link("dashboards", ["UbsSZTDik"], { "var-namespace": d.namespace, "var-workload": d.workload }) }, "Dashboard") : null,
      app ? h("a", { href: link("traces", [], { service: app.includes(".") ? app : `${app}.${d.namespace}` }) }, "Traces") : null),
    h("dl.figures", figure("In", `${number(node.rate)}/s`), figure("Errors", node.rate ? percent((100 * node.errors) / node.rate) : "–"), figure("Callers", String(callers.length)), figure("Calls", String(called.length))),
    series,
    callers.length ? [h("h3", "Called by"), h("table", peers(callers, "source"))] : null,
    called.length ? [h("h3", "Calls"), h("table", peers(called, "target"))] : null,
    app ? [h("h3", "Recent traces"), recent] : null);
}

export function edgePanel(edge: Edge, model: Model, signal: AbortSignal): HTMLElement {
  const source = model.nodes.find((n) => n.id === edge.source)!, target = model.nodes.find((n) => n.id === edge.target)!;
  const series = h("div.soft", "…");
  if (edge.protocol !== "tcp") charts(series, [selector(target, "destination"), source.data.nodeType === "service" || source.data.nodeType === "unknown" ? "" : selector(source, "source")].filter(Boolean).join(","), signal);
  const codes = Object.entries(edge.data.traffic.responses ?? {}).flatMap(([code, r]) => Object.entries(r.flags).map(([flag, share]) => ({ code, flag, share })));
  const q = edge.data.quantiles ?? {};
  return h("div",
    h("h2.row", dot(edge.health), `${source.title} ${source.subtitle}`, " → ", `${target.title} ${target.subtitle}`),
    h("div.row", h("span.chip", edge.protocol), Number.isFinite(edge.mtls) ? h("span.chip", `mTLS ${percent(edge.mtls)}`) : null),
    edge.protocol === "tcp"
      ? h("dl.figures", figure("Bytes", `${bytes(edge.bytes)}/s`))
      : h("dl.figures", figure("Requests", `${number(edge.rate)}/s`), figure("Errors", percent(edge.rate ? (100 * edge.errors) / edge.rate : 0)), figure("Share", percent(edge.share)), figure("p95", duration(edge.p95))),
    h("p.soft", q.p50 !== undefined ? `p50 ${duration(q.p50)} · p99 ${duration(q.p99 ?? NaN)}` : ""),
    edge.protocol === "tcp" ? null : series,
    codes.length ? [h("h3", "Responses"), h("table", h("thead", h("tr", h("th", "Code"), h("th", "Flags"), h("th.num", "Share"))),
      h("tbody", codes.map((c) => h("tr", h("td", { class: /^5|^0|^-/.test(c.code) ? "bad" : /^4/.test(c.code) ? "warn" : "" }, c.code), h("td", c.flag), h("td.num", `${c.share}%`)))))] : null);
}
