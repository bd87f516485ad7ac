// Dashboards in Grafana's format: variables, stat, time series, table and text panels. Also a page for queries by hand.
import { Dashboard, getDashboard, Instant, labelValues, listDashboards, Panel, query, Variable } from "../api";
import { Child, fill, h } from "../dom";
import { byUnit } from "../format";
import { chart, Line } from "../parts/chart";
import { lines, span, Span, valueOf } from "../parts/metrics";
import { empty, fillFrom, notice, table, View } from "../parts/page";
import { current, link, set } from "../route";

export const dashboards: View = (main, signal) => {
  const { parts } = current();
  if (parts[0]) return show(main, parts[0], signal);
  const box = h("div.cards");
  fill(main, h("div.stack", h("h1", "Dashboards"), box));
  return { refresh: (why) => fillFrom(box, why, async () => {
    const list = await listDashboards(why);
    return list.length ? list.map((d) => h("a.card", { href: link("dashboards", [d.uid]) }, h("h2", d.title), h("span.soft", d.tags.join(", ")))) : empty("No dashboards.");
  }) };
};

type Values = Map<string, string[]>;

function show(main: HTMLElement, uid: string, signal: AbortSignal) {
  const head = h("div.row"), grid = h("div.panels", h("div.empty", "Loading…"));
  fill(main, h("div.stack", head, grid));
  let dashboard: Dashboard | undefined;
  const load = async (why: AbortSignal) => {
    try {
      dashboard ??= await getDashboard(uid, why);
      const values = await variables(dashboard.templating?.list ?? [], head, dashboard, why);
      if (!why.aborted) draw(grid, dashboard.panels, values, why);
    } catch (error) {
      if (!why.aborted) fill(grid, h("div", { style: "grid-column:1/-1" }, notice(error)));
    }
  };
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
}

// Each variable's values come from label_values(metric{…}, label) with the earlier variables filled in.
async function variables(list: Variable[], head: HTMLElement, dashboard: Dashboard, signal: AbortSignal): Promise<Values> {
  const values: Values = new Map();
  const controls: Child[] = [];
  for (const v of list) {
    if (v.type === "datasource") continue;
    let choices = (v.options ?? []).map((o) => o.value);
    const text = typeof v.query === "string" ? v.query : v.query?.query ?? "";
    if (v.type === "query") choices = await variableValues(text, values, v.regex, signal).catch(() => []);
    else if (v.type === "custom") choices = text.split(",").map((t) => t.trim());
    choices = [...new Set(choices)].filter((c) => c !== "unknown" && c !== "").sort();
    const asked = current().query.get(`var-${v.name}`);
    const isAll = v.includeAll && (!asked || asked === "$__all");
    values.set(v.name, isAll ? choices : [asked ?? choices[0] ?? ""]);
    if (v.hide === 2) continue;
    controls.push(h("label", v.label || v.name, h("select", { onchange: (e: Event) => set({ [`var-${v.name}`]: (e.target as HTMLSelectElement).value }) },
      v.includeAll ? h("option", { value: "$__all", selected: isAll }, "All") : null,
      asked && asked !== "$__all" && !choices.includes(asked) ? h("option", { value: asked, selected: true }, asked) : null,
      choices.map((c) => h("option", { value: c, selected: !isAll && values.get(v.name)![0] === c }, c)))));
  }
  fill(head, h("h1", dashboard.title), controls);
  return values;
}

async function variableValues(text: string, values: Values, regex: string | undefined, signal: AbortSignal): Promise<string[]> {
  const filled = substitute(text, values, span());
  const labels = /^label_values\((?:(.*),\s*)?([a-zA-Z_]\w*)\)$/s.exec(filled.trim());
  if (labels) return labelValues(labels[2], labels[1], signal);
  const result = /^query_result\((.*)\)$/s.exec(filled.trim());
  if (!result) return [];
  const rows = (await query(result[1], signal)).map((r) => `${r.metric.__name__ ?? ""}{${Object.entries(r.metric).map(([k, v]) => `${k}="${v}"`).join(",")}} ${r.value[1]}`);
  const pattern = /^\/(.*)\/[a-z]*$/.exec(regex ?? "");
  return pattern ? rows.map((r) => new RegExp(pattern[1]).exec(r)?.[1] ?? "").filter(Boolean) : rows;
}

function substitute(text: string, values: Values, at: Span): string {
  const interval = `${Math.max(at.step * 4, 30)}s`;
  const builtIn: Record<string, string> = { __rate_interval: interval, __interval: `${at.step}s`, __range: `${at.end - at.start}s`, __range_s: String(at.end - at.start), __interval_ms: String(at.step * 1000) };
  return text.replace(/\$\{(\w+)(?::\w+)?\}|\$(\w+)|\[\[(\w+)\]\]/g, (whole, a, b, c) => {
    const name = a ?? b ?? c;
    if (name in builtIn) return builtIn[name];
    const found = values.get(name);
    if (!found) return whole;
    return found.length === 1 ? found[0] : found.length === 0 ? ".*" : `(${found.map((v) => v.replace(/[.*+?^${}()|[\]\\]/g, "\\\\$&")).join("|")})`;
  });
}

function draw(grid: HTMLElement, panels: Panel[], values: Values, signal: AbortSignal) {
  const at = span();
  const flat = panels.flatMap((p) => (p.type === "row" ? [p, ...(p.panels ?? [])] : [p])).sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x);
  fill(grid, flat.map((p) => {
    if (p.type === "row") return h("h2.section", substitute(p.title, values, at));
    const width = `grid-column: span ${Math.min(24, Math.max(4, p.gridPos.w))}`;
    if (p.type === "text") return p.title ? h("h2.section", p.title) : null;
    const body = h("div.soft", "…");
    void fillFrom(body, signal, () => content(p, values, at, signal));
    return h("section.card", { style: width }, h("h2", { title: p.description }, substitute(p.title, values, at)), body);
  }));
}

const unitOf = (p: Panel) => p.fieldConfig?.defaults?.unit ?? p.yaxes?.[0]?.format ?? p.format;

async function content(p: Panel, values: Values, at: Span, signal: AbortSignal): Promise<Child> {
  const targets = (p.targets ?? []).filter((t) => t.expr);
  if (p.type === "stat" || p.type === "singlestat" || p.type === "gauge") {
    const rows = await query(substitute(targets[0].expr, values, at), signal);
    return h("div.stat", rows.length ? byUnit(valueOf(rows[0]), unitOf(p)) : "–");
  }
  if (p.type === "table") return tablePanel(p, targets, values, at, signal);
  const found: Line[] = (await Promise.all(targets.map((t) => lines(substitute(t.expr, values, at), (m) => legend(t.legendFormat, m), signal, at)))).flat();
  if (!found.length) return empty("No series in this window. ", h("code", substitute(targets[0]?.expr ?? "", values, at).slice(0, 160)));
  return chart(found.slice(0, 60), { unit: unitOf(p), start: at.start * 1000, end: at.end * 1000, height: Math.max(130, p.gridPos.h * 22), isArea: found.length === 1, min: p.fieldConfig?.defaults?.min, max: p.fieldConfig?.defaults?.max ?? (unitOf(p) === "percentunit" && isShare(found) ? 1 : undefined) });
}

const isShare = (found: Line[]) => found.every((l) => l.points.every(([, v]) => !(v > 1.0001)));

function legend(format: string | undefined, metric: Record<string, string>): string {
  if (!format || format === "__auto") return Object.entries(metric).filter(([k]) => k !== "__name__").map(([k, v]) => `${k}=${v}`).join(" ");
  return format.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => metric[name] ?? "");
}

interface Organize { renameByName?: Record<string, string>; excludeByName?: Record<string, boolean> }

// One row per set of the labels that all queries share, one column per query; names and hidden columns as the panel's
// "organize" transformation has them.
async function tablePanel(p: Panel, targets: NonNullable<Panel["targets"]>, values: Values, at: Span, signal: AbortSignal): Promise<Child> {
  const answers = await Promise.all(targets.map((t) => query(substitute(t.expr, values, at), signal)));
  const organize = (p.transformations ?? []).find((t) => t.id === "organize")?.options as Organize | undefined;
  const labelsOf = (list: Instant[]) => new Set(list.flatMap((r) => Object.keys(r.metric)).filter((k) => k !== "__name__"));
  const filled = answers.filter((list) => list.length).map(labelsOf);
  const shared = [...(filled[0] ?? [])].filter((name) => filled.every((set) => set.has(name)));
  interface Line { metric: Record<string, string>; cells: number[] }
  const rows = new Map<string, Line>();
  answers.forEach((list, column) => list.forEach((r) => {
    const key = JSON.stringify(shared.map((name) => r.metric[name]));
    const row = rows.get(key) ?? { metric: {}, cells: targets.map(() => NaN) };
    Object.assign(row.metric, r.metric);
    row.cells[column] = valueOf(r);
    rows.set(key, row);
  }));
  if (!rows.size) return empty("No series in this window.");
  const isHidden = (name: string) => organize?.excludeByName?.[name] === true;
  const title = (name: string, fallback: string) => organize?.renameByName?.[name] || fallback;
  const names = [...new Set([...rows.values()].flatMap((r) => Object.keys(r.metric)))].filter((n) => n !== "__name__" && !isHidden(n)).sort((a, b) => shared.indexOf(b) - shared.indexOf(a));
  const overrides = p.fieldConfig?.overrides ?? [];
  const unit = (t: { legendFormat?: string; refId?: string }) => overrides.find((o) => [t.legendFormat, `Value #${t.refId}`, title(`Value #${t.refId}`, "")].includes(o.matcher.options))?.properties.find((x) => x.id === "unit")?.value ?? unitOf(p);
  const isPlain = (text: string | undefined) => text && !text.includes("{{");
  return table<Line>([
    ...names.map((n) => ({ title: title(n, n.replace(/^destination_/, "").replace(/_/g, " ")), order: (r: Line) => r.metric[n] ?? "", cell: (r: Line) => cell(n, r.metric) })),
    ...targets.map((t, i) => ({ title: title(`Value #${t.refId}`, isPlain(t.legendFormat) ? t.legendFormat! : t.refId ?? "value"), isNumber: true, order: (r: Line) => r.cells[i], cell: (r: Line) => byUnit(r.cells[i], unit(t)) }))
      .filter((_, i) => !isHidden(`Value #${targets[i].refId}`)),
  ], [...rows.values()], names.length, true);
}

function cell(name: string, metric: Record<string, string>): Child {
  const value = metric[name];
  if (!value) return "–";
  if (name === "destination_workload") return h("a", { href: link("dashboards", ["UbsSZTDik"], { "var-namespace": metric.destination_workload_namespace, "var-workload": value }) }, value);
  if (name === "destination_service") return h("a", { href: link("dashboards", ["LJ_uJAvmk"], { "var-service": value }) }, value);
  return value;
}

export const explore: View = (main, signal) => {
  const input = h<HTMLInputElement>("input", { style: "flex:1;font-family:var(--mono)", "aria-label": "PromQL", placeholder: "sum by (response_code) (rate(istio_requests_total[1m]))", value: current().query.get("expr") ?? "",
    onkeydown: (e: KeyboardEvent) => { if (e.key === "Enter") set({ expr: input.value }); } });
  const box = h("div.card");
  fill(main, h("div.stack", h("h1", "Explore"), h("div.card.row", input, h("button", { type: "button", onclick: () => set({ expr: input.value }) }, "Run")), box));
  const load = (why: AbortSignal) => fillFrom(box, why, async () => {
    const expression = current().query.get("expr");
    if (!expression) return empty("Write a query in PromQL and press Enter.");
    const at = span();
    const found = await lines(expression, (m) => legend(undefined, m) || m.__name__ || "", why, at);
    return found.length ? chart(found.slice(0, 100), { start: at.start * 1000, end: at.end * 1000, height: 280 }) : empty("No series.");
  });
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
};
