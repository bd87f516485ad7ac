// Workloads and services: tables of golden signals, and a page for each with charts, pods, logs and callers.
import { getLogs, listServices, listWorkloads, Service, Workload } from "../api";
import { Child, fill, h } from "../dom";
import { age, duration, number, percent } from "../format";
import { chart } from "../parts/chart";
import { Golden, golden, lines, oneOf, quote, rateWindow, span } from "../parts/metrics";
import { Column, dot, empty, fillFrom, health, table, View } from "../parts/page";
import { current, link, namespaces, set } from "../route";

interface Row<T> { item: T; golden?: Golden }

function signals<T>(): Column<Row<T>>[] {
  const g = (r: Row<T>) => r.golden;
  return [
    { title: "Requests", isNumber: true, order: (r) => g(r)?.rate ?? 0, cell: (r) => (g(r) ? `${number(g(r)!.rate)}/s` : "–") },
    { title: "Success", isNumber: true, order: (r) => (g(r)?.rate ? 1 - g(r)!.errors / g(r)!.rate : 2), cell: (r) => (g(r)?.rate ? h("span", { class: g(r)!.errors > 0 ? "bad" : "good" }, percent(100 - (100 * g(r)!.errors) / g(r)!.rate)) : "–") },
    { title: "p50", isNumber: true, order: (r) => g(r)?.p50 ?? -1, cell: (r) => duration(g(r)?.p50 ?? NaN) },
    { title: "p95", isNumber: true, order: (r) => g(r)?.p95 ?? -1, cell: (r) => duration(g(r)?.p95 ?? NaN) },
    { title: "p99", isNumber: true, order: (r) => g(r)?.p99 ?? -1, cell: (r) => duration(g(r)?.p99 ?? NaN) },
  ];
}

const scope = (label: string) => (namespaces().length ? `${label}=~"${oneOf(namespaces())}"` : `${label}!=""`);
const inScope = (ns: string) => !namespaces().length || namespaces().includes(ns);
const fits = (text: string) => text.toLowerCase().includes((current().query.get("find") ?? "").toLowerCase());

function listPage(main: HTMLElement, title: string, load: (signal: AbortSignal) => Promise<Child>) {
  const box = h("div.card", h("div.empty", "Loading…"));
  const find = h<HTMLInputElement>("input", { type: "search", placeholder: "Find…", "aria-label": "Find", value: current().query.get("find") ?? "", oninput: () => set({ find: find.value }) });
  fill(main, h("div.stack", h("div.row", h("h1", title), find), box));
  return (signal: AbortSignal) => fillFrom(box, signal, () => load(signal));
}

export const workloads: View = (main, signal) => {
  const { parts } = current();
  if (parts.length >= 2) return detail(main, "workload", parts[0], parts[1]);
  let rows: Row<Workload>[] = [];
  const draw = () => {
    const shown = rows.filter((r) => fits(`${r.item.namespace}/${r.item.name}`));
    if (!shown.length) return empty("No workload here.");
    return table<Row<Workload>>([
      { title: "Workload", order: (r) => `${r.item.namespace}/${r.item.name}`, cell: (r) => [dot(stateOf(r)), " ", h("a", { href: link("workloads", [r.item.namespace, r.item.name]) }, r.item.name)] },
      { title: "Namespace", order: (r) => r.item.namespace, cell: (r) => r.item.namespace },
      { title: "Kind", order: (r) => r.item.kind, cell: (r) => r.item.kind },
      { title: "Ready", isNumber: true, order: (r) => r.item.ready - r.item.replicas, cell: (r) => h("span", { class: r.item.ready < r.item.replicas ? "bad" : "" }, `${r.item.ready}/${r.item.replicas}`) },
      { title: "Sidecar", order: (r) => sidecar(r.item), cell: (r) => sidecar(r.item) },
      ...signals<Workload>(),
      { title: "Age", isNumber: true, order: (r) => -Date.parse(r.item.created), cell: (r) => age(r.item.created) },
    ], shown);
  };
  const load = listPage(main, "Workloads", async (why) => {
    const [list, found] = await Promise.all([
      listWorkloads("", why).catch((error) => ({ error: error as Error })),
      golden(["destination_workload_namespace", "destination_workload"], scope("destination_workload_namespace"), why).catch(() => new Map<string, Golden>())]);
    if ("error" in list) {
      // Without an API server the metrics still know names.
      if (!found.size) throw list.error;
      rows = [...found].map(([key, g]) => ({ item: fromMetrics(key), golden: g }));
    } else rows = list.filter((w) => inScope(w.namespace)).map((item) => ({ item, golden: found.get(`${item.namespace}/${item.name}`) }));
    return draw();
  });
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
};

const fromMetrics = (key: string): Workload => {
  const [namespace, name] = key.split("/");
  return { namespace, name, kind: "–", replicas: 0, ready: 0, labels: {}, created: "", pods: [] };
};
const sidecar = (w: Workload) => (w.pods.length === 0 ? "–" : w.pods.every((p) => p.sidecar) ? "yes" : w.pods.some((p) => p.sidecar) ? "some" : "no");
const stateOf = (r: Row<Workload>) => (r.item.ready < r.item.replicas ? "bad" : health(r.golden?.rate ?? 0, r.golden?.errors ?? 0));

export const services: View = (main, signal) => {
  const { parts } = current();
  if (parts.length >= 2) return detail(main, "service", parts[0], parts[1]);
  const load = listPage(main, "Services", async (why) => {
    const [list, found] = await Promise.all([listServices("", why),
      golden(["destination_service_namespace", "destination_service_name"], scope("destination_service_namespace"), why).catch(() => new Map<string, Golden>())]);
    const rows = list.filter((s) => inScope(s.namespace) && fits(`${s.namespace}/${s.name}`)).map((item) => ({ item, golden: found.get(`${item.namespace}/${item.name}`) }));
    if (!rows.length) return empty("No service here.");
    return table<Row<Service>>([
      { title: "Service", order: (r) => `${r.item.namespace}/${r.item.name}`, cell: (r) => [dot(health(r.golden?.rate ?? 0, r.golden?.errors ?? 0)), " ", h("a", { href: link("services", [r.item.namespace, r.item.name]) }, r.item.name)] },
      { title: "Namespace", order: (r) => r.item.namespace, cell: (r) => r.item.namespace },
      { title: "Type", order: (r) => r.item.type, cell: (r) => r.item.type },
      { title: "Ports", cell: (r) => r.item.ports.map((p) => `${p.port}${p.name ? " " + p.name : ""}`).join(", ") },
      ...signals<Service>(),
      { title: "Age", isNumber: true, order: (r) => -Date.parse(r.item.created), cell: (r) => age(r.item.created) },
    ], rows);
  });
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
};

function detail(main: HTMLElement, kind: "workload" | "service", ns: string, name: string) {
  const to = kind === "workload" ? `destination_workload="${quote(name)}",destination_workload_namespace="${quote(ns)}"` : `destination_service_name="${quote(name)}",destination_service_namespace="${quote(ns)}"`;
  const from = `source_workload="${quote(name)}",source_workload_namespace="${quote(ns)}"`;
  const charts = h("div.two"), peers = h("div.two"), about = h("div.card"), logs = h("div");
  const app = name.replace(/-v\d+$/, "");
  fill(main, h("div.stack",
    h("div.row", h("h1", name), h("span.chip", kind), h("span.chip", ns),
      h("a", { href: link("graph", [], { namespaces: ns, find: app }) }, "Graph"),
      h("a", { href: link("traces", [], { service: `${app}.${ns}` }) }, "Traces"),
      kind === "workload" ? h("a", { href: link("dashboards", ["UbsSZTDik"], { "var-namespace": ns, "var-workload": name }) }, "Dashboard")
        : h("a", { href: link("dashboards", ["LJ_uJAvmk"], { "var-service": `${name}.${ns}.svc.cluster.local` }) }, "Dashboard")),
    charts, peers, about, logs));
  const load = async (signal: AbortSignal) => {
    const at = span(), window = rateWindow(at.step);
    const one = async (title: string, unit: string, query: string, by: (m: Record<string, string>) => string) => {
      const found = await lines(query, by, signal, at);
      return h("div.card", h("h2", title), found.length ? chart(found, { unit, start: at.start * 1000, end: at.end * 1000 }) : empty("No samples in this window."));
    };
    const byPeer = (title: string, label: string, match: string, reporter: string) => one(title, "reqps", `sum by (${label},response_code) (rate(istio_requests_total{reporter="${reporter}",${match}}[${window}]))`, (m) => `${m[label]} ${m.response_code}`);
    const quantile = (q: number) => `label_replace(histogram_quantile(${q}, sum by (le) (rate(istio_request_duration_milliseconds_bucket{reporter="destination",${to}}[${window}]))), "q", "p${q * 100}", "", "")`;
    await Promise.all([
      fillFrom(charts, signal, () => Promise.all([
        one("Requests by response code", "reqps", `sum by (response_code) (rate(istio_requests_total{reporter="destination",${to}}[${window}]))`, (m) => m.response_code),
        one("Duration", "ms", [0.5, 0.95, 0.99].map(quantile).join(" or "), (m) => m.q)])),
      fillFrom(peers, signal, () => Promise.all([byPeer("Called by", "source_workload", to, "destination"), kind === "workload" ? byPeer("Calls", "destination_service_name", from, "source") : Promise.resolve(null)])),
      fillFrom(about, signal, () => (kind === "workload" ? pods(ns, name, logs, signal) : ports(ns, name, signal))),
    ]);
  };
  return { refresh: load };
}

async function pods(ns: string, name: string, logs: HTMLElement, signal: AbortSignal): Promise<Child> {
  const workload = (await listWorkloads(ns, signal)).find((w) => w.name === name);
  if (!workload) return empty(`No workload ${ns}/${name} in the cluster.`);
  const show = (pod: string, container: string) => {
    const box = h("div.empty", "Loading…");
    fill(logs, h("div.card", h("h2", `${pod} · ${container}`, h("span.soft", `kubectl logs -n ${ns} ${pod} -c ${container}`)), box));
    void fillFrom(box, signal, async () => {
      const text = await getLogs(ns, pod, container, 300, signal);
      return text ? h("pre.text", { tabindex: "0" }, text) : empty("The log is empty.");
    });
    logs.scrollIntoView({ behavior: "smooth", block: "start" });
  };
  return [h("h2", "Pods"), h("table", h("thead", h("tr", ["Pod", "Status", "Ready", "Restarts", "IP", "Revision", "Age", "Logs"].map((t) => h("th", t)))),
    h("tbody", workload.pods.map((p) => h("tr", h("td", p.name), h("td", { class: p.isReady ? "good" : "bad" }, p.status), h("td", p.ready), h("td", p.restarts), h("td", p.ip), h("td", p.revision || "–"), h("td", age(p.created)),
      h("td.row", p.containers.map((c) => h("button", { type: "button", onclick: () => show(p.name, c.name) }, c.name)))))))];
}

async function ports(ns: string, name: string, signal: AbortSignal): Promise<Child> {
  const service = (await listServices(ns, signal)).find((s) => s.name === name);
  if (!service) return empty(`No service ${ns}/${name} in the cluster.`);
  const selector = Object.entries(service.selector);
  const behind = (await listWorkloads(ns, signal)).filter((w) => selector.length && selector.every(([k, v]) => w.labels[k] === v));
  return [h("h2", "Service"),
    h("dl.kv", h("dt", "Type"), h("dd", service.type), h("dt", "Cluster IP"), h("dd", service.clusterIP), h("dt", "Ports"), h("dd", service.ports.map((p) => `${p.port}→${p.targetPort ?? p.port} ${p.name ?? ""} ${p.nodePort ? "node " + p.nodePort : ""}`).join(", ")), h("dt", "Selector"), h("dd", selector.map(([k, v]) => `${k}=${v}`).join(", ") || "none")),
    h("h3", "Workloads behind it"), behind.length ? h("table", behind.map((w) => h("tr", h("td", h("a", { href: link("workloads", [ns, w.name]) }, w.name)), h("td", `${w.ready}/${w.replicas} ready`)))) : empty("None: calls to it fail.")];
}
