// The landing page of the mesh: what is unhealthy, what changed, namespaces with their golden signals.
import { listNamespaces, listObjects, listWorkloads, Workload } from "../api";
import { fill, h } from "../dom";
import { age, duration, number, percent } from "../format";
import { color, spark } from "../parts/chart";
import { Golden, golden, lines, quote, rateWindow, span } from "../parts/metrics";
import { dot, empty, fillFrom, health, View, worst } from "../parts/page";
import { link, namespaces } from "../route";

const figure = (name: string, value: string, kind = "") => [h("dt", name), h("dd", { class: kind }, value)];

export const overview: View = (main) => {
  const cards = h("div.cards", h("div.empty", "Loading…"));
  const bad = h("div", h("div.empty", "Loading…")), changed = h("div", h("div.empty", "Loading…"));
  fill(main, h("div.stack", h("h1", "Overview"),
    h("div.two", h("section.card", h("h2", "Worst now"), bad), h("section.card", h("h2", "Changed in the last hour"), changed)), cards));

  const load = async (signal: AbortSignal) => {
    const metrics = golden(["destination_workload_namespace", "destination_workload"], `destination_workload!="unknown"`, signal);
    metrics.catch(() => undefined);
    await Promise.all([
      fillFrom(cards, signal, () => namespaceCards(metrics, signal), "Prometheus gives the numbers, the API server the names."),
      fillFrom(bad, signal, async () => worstTable(await metrics)),
      fillFrom(changed, signal, () => changes(signal)),
    ]);
  };
  return { refresh: load };
};

async function namespaceCards(metrics: Promise<Map<string, Golden>>, signal: AbortSignal) {
  const [found, all] = await Promise.all([metrics.catch(() => new Map<string, Golden>()), listNamespaces(signal).catch(() => [])]);
  const workloads = await listWorkloads("", signal).catch(() => [] as Workload[]);
  const names = new Set([...all.map((n) => n.name), ...[...found.keys()].map((k) => k.split("/")[0])]);
  const wanted = namespaces();
  const shown = [...names].filter((n) => n && n !== "unknown" && (!wanted.length || wanted.includes(n)) && !/^kube-/.test(n))
    .sort((a, b) => (rate(found, b) - rate(found, a)) || a.localeCompare(b));
  if (!shown.length) return empty("No namespace has workloads or traffic yet.");
  return shown.map((name) => {
    const meta = all.find((n) => n.name === name);
    const mine = [...found].filter(([k]) => k.startsWith(name + "/"));
    const total = mine.reduce((s, [, g]) => s + g.rate, 0), errors = mine.reduce((s, [, g]) => s + g.errors, 0);
    const p95 = Math.max(-1, ...mine.map(([, g]) => g.p95).filter(Number.isFinite));
    const here = workloads.filter((w) => w.namespace === name);
    const ready = here.filter((w) => w.ready >= w.replicas).length;
    let state = health(total, errors);
    if (ready < here.length) state = worst(state, "warn");
    const graph = h("div");
    void fillFrom(graph, signal, async () => {
      const at = span();
      const series = await lines(`sum(rate(istio_requests_total{reporter="destination",destination_workload_namespace="${quote(name)}"}[${rateWindow(at.step)}]))`, () => "", signal, at);
      return series.length ? spark(series[0].points, color(0)) : null;
    });
    return h("section.card",
      h("h2", h("span.row", dot(state), h("a", { href: link("graph", [], { namespaces: name }) }, name)),
        h("span.chip", meta ? (meta.revision ? `rev ${meta.revision}` : meta.injection === "enabled" ? "injection on" : "no injection") : "seen in metrics")),
      h("dl.figures", figure("Requests", `${number(total)}/s`), figure("Errors", total ? percent((100 * errors) / total) : "–", errors > 0 ? "bad" : ""),
        figure("p95", p95 > 0 ? duration(p95) : "–"), figure("Workloads", here.length ? `${ready}/${here.length}` : "–", ready < here.length ? "warn" : "")),
      graph,
      h("div.row", h("a", { href: link("workloads", [], { namespaces: name }) }, "Workloads"), h("a", { href: link("services", [], { namespaces: name }) }, "Services"), h("a", { href: link("config", [], { namespaces: name }) }, "Config")));
  });
}

const rate = (found: Map<string, Golden>, ns: string) => [...found].filter(([k]) => k.startsWith(ns + "/")).reduce((s, [, g]) => s + g.rate, 0);

function worstTable(found: Map<string, Golden>) {
  const rows = [...found].filter(([, g]) => g.rate > 0);
  const byErrors = rows.filter(([, g]) => g.errors > 0).sort(([, a], [, b]) => b.errors / b.rate - a.errors / a.rate).slice(0, 5);
  const bySlow = rows.filter(([, g]) => Number.isFinite(g.p95)).sort(([, a], [, b]) => b.p95 - a.p95).slice(0, 5);
  const cell = (key: string) => {
    const [ns, name] = key.split("/");
    return h("a", { href: link("workloads", [ns, name]) }, name, h("span.soft", ` ${ns}`));
  };
  if (!rows.length) return empty("No traffic in this window.");
  return h("div.two",
    h("div", h("h3", "Error rate"), byErrors.length ? h("table", byErrors.map(([k, g]) => h("tr", h("td", dot(health(g.rate, g.errors)), " ", cell(k)), h("td.num.bad", percent((100 * g.errors) / g.rate))))) : h("p.good", "No errors.")),
    h("div", h("h3", "Slowest (p95)"), h("table", bySlow.map(([k, g]) => h("tr", h("td", cell(k)), h("td.num", duration(g.p95)))))));
}

async function changes(signal: AbortSignal) {
  const [objects, workloads] = await Promise.all([listObjects("", signal), listWorkloads("", signal)]);
  const since = Date.now() - 3600e3;
  const wrong = objects.filter((o) => o.issues.length);
  const rows = [
    ...objects.map((o) => ({ at: o.created, text: `${o.kind} ${o.namespace}/${o.name}`, href: link("config", [o.kind, o.namespace, o.name]) })),
    ...workloads.flatMap((w) => w.pods.map((p) => ({ at: p.created, text: `Pod ${w.namespace}/${p.name}`, href: link("workloads", [w.namespace, w.name]) }))),
  ].filter((r) => Date.parse(r.at) > since).sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, 8);
  return [
    wrong.length ? h("p", h("a.bad", { href: link("config", [], { issues: "on" }) }, `${wrong.length} configuration ${wrong.length === 1 ? "object has" : "objects have"} issues`)) : null,
    rows.length ? h("table", rows.map((r) => h("tr", h("td", h("a", { href: r.href }, r.text)), h("td.num", age(r.at))))) : empty("Nothing."),
  ];
}
