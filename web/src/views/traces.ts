// Trace search with a scatter of durations, and the waterfall of one trace.
import { findTraces, getTrace, JaegerSpan, JaegerTrace, traceDependencies, traceOperations, traceServices } from "../api";
import { Child, fill, h, svg } from "../dom";
import { clock, duration } from "../format";
import { color } from "../parts/chart";
import { empty, fillFrom, notice, View } from "../parts/page";
import { current, go, link, set, sinceSeconds } from "../route";

const isError = (s: JaegerSpan) => s.tags.some((t) => t.key === "error" && t.value !== false && t.value !== "false");
const ends = (t: JaegerTrace): [number, number] => [Math.min(...t.spans.map((s) => s.startTime)), Math.max(...t.spans.map((s) => s.startTime + s.duration))];
const root = (t: JaegerTrace) => t.spans.find((s) => !s.references.some((r) => t.spans.some((o) => o.spanID === r.spanID))) ?? t.spans[0];
const serviceOf = (t: JaegerTrace, s: JaegerSpan) => t.processes[s.processID]?.serviceName ?? "?";

export const traces: View = (main, signal) => {
  const q = () => current().query;
  const service = h<HTMLSelectElement>("select", { "aria-label": "Service", onchange: () => set({ service: service.value, operation: undefined }) });
  const operation = h<HTMLSelectElement>("select", { "aria-label": "Operation", onchange: () => set({ operation: operation.value }) });
  const input = (key: string, placeholder: string, size: number) => {
    const element = h<HTMLInputElement>("input", { placeholder, "aria-label": placeholder, size, value: q().get(key) ?? "", onchange: () => set({ [key]: element.value }) });
    return element;
  };
  const limit = h<HTMLSelectElement>("select", { "aria-label": "How many", onchange: () => set({ limit: limit.value }) }, ["20", "50", "100", "500"].map((n) => h("option", { selected: (q().get("limit") ?? "20") === n }, n)));
  const list = h("div.stack");
  const onlyBad = h("button", { type: "button", "aria-pressed": String(q().get("errors") === "on"), onclick: () => {
    const isOn = q().get("errors") !== "on";
    set({ errors: isOn ? "on" : undefined });
    onlyBad.setAttribute("aria-pressed", String(isOn));
  } }, "Errors only");
  const direct = h<HTMLInputElement>("input", { placeholder: "trace id", "aria-label": "Open a trace by id", size: 20, onkeydown: (e: KeyboardEvent) => { if (e.key === "Enter" && direct.value.trim()) go(link("trace", [direct.value.trim()])); } });
  fill(main, h("div.stack", h("h1", "Traces"),
    h("div.card.row", service, operation, input("tags", "tags: http.status_code=500", 24), input("min", "min 10ms", 8), input("max", "max 1s", 8), limit, onlyBad, direct), list));

  let known = "";
  const fillServices = async (why: AbortSignal) => {
    const names = await traceServices(why);
    const wanted = q().get("service") ?? "";
    if (wanted && !names.includes(wanted)) names.unshift(wanted);
    if (names.join() !== known) {
      known = names.join();
      fill(service, h("option", { value: "" }, "all services"), names.map((n) => h("option", { value: n }, n)));
    }
    service.value = wanted;
    const operations = wanted ? await traceOperations(wanted, why) : [];
    fill(operation, h("option", { value: "" }, "all operations"), [...new Set(operations.map((o) => o.name))].map((n) => h("option", { value: n }, n)));
    operation.value = q().get("operation") ?? "";
  };
  const load = async (why: AbortSignal) => {
    try {
      await fillServices(why);
    } catch (error) {
      if (!why.aborted) fill(list, notice(error, "Traces come from the tracing service (jaeger)."));
      return;
    }
    await fillFrom(list, why, async () => {
      const tags: Record<string, string> = {};
      for (const pair of (q().get("tags") ?? "").split(/[\s,]+/).filter(Boolean)) {
        const [key, ...rest] = pair.split("=");
        tags[key] = rest.join("=") || "true";
      }
      if (q().get("errors") === "on") tags.error = "true";
      const end = Date.now() * 1000;
      const found = await findTraces({ service: q().get("service") ?? undefined, operation: q().get("operation") ?? undefined, start: end - Math.max(sinceSeconds(), 60) * 1e6, end, limit: q().get("limit") ?? 20,
        minDuration: q().get("min") ?? undefined, maxDuration: q().get("max") ?? undefined, tags: Object.keys(tags).length ? JSON.stringify(tags) : undefined }, why);
      if (!found.length) return h("div.card", empty("No trace fits. Widen the window, or send traffic: only a share of calls is sampled (1% by default, 100% in the demo profile)."));
      return [h("div.card", scatter(found)), found.map(item)];
    });
  };
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
};

function item(t: JaegerTrace): HTMLElement {
  const [start, end] = ends(t);
  const first = root(t);
  const errors = t.spans.filter(isError).length;
  const counts = new Map<string, number>();
  for (const s of t.spans) counts.set(serviceOf(t, s), (counts.get(serviceOf(t, s)) ?? 0) + 1);
  return h("a.trace-item", { href: link("trace", [t.traceID]) },
    h("div", h("b", serviceOf(t, first)), " ", first.operationName, " ", h("code.soft", t.traceID.slice(-8))),
    h("b", { class: errors ? "bad" : "" }, duration((end - start) / 1000)),
    h("div.row", [...counts].map(([name, n]) => h("span.chip", h("span.dot", { style: `background:${serviceColor(name)}` }), `${name} ${n}`)), errors ? h("span.chip.bad", `${errors} error${errors > 1 ? "s" : ""}`) : null),
    h("span.soft", clock(start / 1000)));
}

function scatter(found: JaegerTrace[]): SVGElement {
  const w = 900, hgt = 110;
  const points = found.map((t) => ({ t, at: ends(t)[0], took: ends(t)[1] - ends(t)[0], bad: t.spans.some(isError) }));
  const [t0, t1] = [Math.min(...points.map((p) => p.at)), Math.max(...points.map((p) => p.at))];
  const most = Math.max(...points.map((p) => p.took));
  return svg("svg", { viewBox: `0 0 ${w} ${hgt}`, role: "img", "aria-label": "Durations over time" },
    svg("line", { x1: 60, x2: w - 10, y1: hgt - 18, y2: hgt - 18, stroke: "var(--line)" }),
    svg("text", { x: 4, y: 14, fill: "var(--soft)", "font-size": 11 }, duration(most / 1000)), svg("text", { x: 4, y: hgt - 16, fill: "var(--soft)", "font-size": 11 }, "0"),
    svg("text", { x: 60, y: hgt - 4, fill: "var(--soft)", "font-size": 11 }, clock(t0 / 1000)), svg("text", { x: w - 10, y: hgt - 4, fill: "var(--soft)", "font-size": 11, "text-anchor": "end" }, clock(t1 / 1000)),
    points.map((p) => {
      const mark = svg("circle", { cx: 60 + ((p.at - t0) / Math.max(1, t1 - t0)) * (w - 80), cy: hgt - 18 - (p.took / most) * (hgt - 32), r: 4 + Math.min(5, p.t.spans.length / 6), fill: p.bad ? "var(--bad)" : "var(--brand)", opacity: 0.65, style: "cursor:pointer" },
        svg("title", {}, `${root(p.t).operationName} ${duration(p.took / 1000)}`));
      mark.addEventListener("click", () => go(link("trace", [p.t.traceID])));
      return mark;
    }));
}

const colors = new Map<string, string>();
function serviceColor(name: string): string {
  if (!colors.has(name)) colors.set(name, color(colors.size));
  return colors.get(name)!;
}

interface Row { span: JaegerSpan; depth: number; children: number }

export const trace: View = (main) => {
  const id = current().parts[0] ?? "";
  const box = h("div.stack", h("div.empty", "Loading…"));
  fill(main, box);
  let isDone = false;
  return { refresh: async (signal) => {
    if (isDone) return;   // A trace does not change under the reader's hands.
    await fillFrom(box, signal, async () => {
      const found = await getTrace(id, signal);
      isDone = true;
      return waterfall(found);
    });
  } };
};

function rowsOf(t: JaegerTrace): Row[] {
  const children = new Map<string, JaegerSpan[]>();
  const known = new Set(t.spans.map((s) => s.spanID));
  const tops: JaegerSpan[] = [];
  for (const s of t.spans) {
    const parent = s.references.find((r) => known.has(r.spanID) && r.spanID !== s.spanID)?.spanID;
    if (parent) children.set(parent, [...(children.get(parent) ?? []), s]);
    else tops.push(s);
  }
  const rows: Row[] = [];
  const seen = new Set<string>();
  const stack = tops.sort((a, b) => b.startTime - a.startTime).map((span) => ({ span, depth: 0 }));
  while (stack.length) {
    const { span, depth } = stack.pop()!;
    if (seen.has(span.spanID)) continue;
    seen.add(span.spanID);
    const below = (children.get(span.spanID) ?? []).sort((a, b) => b.startTime - a.startTime);
    rows.push({ span, depth, children: below.length });
    for (const child of below) stack.push({ span: child, depth: depth + 1 });
  }
  return rows;
}

// The chain of spans that decided how long the whole took: from the end backwards, the child that ended last.
function criticalPath(t: JaegerTrace): Set<string> {
  const path = new Set<string>();
  let at: JaegerSpan | undefined = root(t);
  while (at && !path.has(at.spanID)) {
    path.add(at.spanID);
    const id: string = at.spanID;
    at = t.spans.filter((s) => s.references.some((r) => r.spanID === id)).sort((a, b) => b.startTime + b.duration - (a.startTime + a.duration))[0];
  }
  return path;
}

function waterfall(t: JaegerTrace): Child {
  const [start, end] = ends(t);
  const total = Math.max(1, end - start);
  const critical = criticalPath(t);
  const errors = t.spans.filter(isError);
  const services = new Set(t.spans.map((s) => serviceOf(t, s)));
  const orphans = t.spans.filter((s) => s.references.length && !t.spans.some((o) => s.references.some((r) => r.spanID === o.spanID)));
  const list = h("div.waterfall", { role: "tree" });
  for (const { span, depth, children } of rowsOf(t)) {
    const service = serviceOf(t, span);
    const offset = ((span.startTime - start) / total) * 100, width = (span.duration / total) * 100;
    const name = service.split(".")[0];
    const row = h("div.span", { role: "treeitem", tabindex: "0", "aria-level": depth + 1 },
      h("div.label", { style: `padding-left:${0.5 + depth * 1.1}rem;border-color:${serviceColor(service)}`, title: `${service} ${span.operationName}` },
        isError(span) ? h("span.bad", "● ") : null, h("b", name), " ", span.operationName, children ? "" : ""),
      h("div.track", h("div.time", { class: critical.has(span.spanID) ? "critical" : "", style: `left:${offset}%;width:${width}%;background:${isError(span) ? "var(--bad)" : serviceColor(service)}` }),
        h("div.took", { class: offset + width > 85 ? "inside" : "", style: offset + width > 85 ? `right:${Math.max(0, 100 - offset - width)}%` : `left:${offset + width}%` }, duration(span.duration / 1000))));
    let open: HTMLElement | undefined;
    const toggle = () => {
      if (open) open.remove();
      open = open ? undefined : detail(t, span, start);
      if (open) row.after(open);
      row.setAttribute("aria-expanded", String(!!open));
    };
    row.addEventListener("click", toggle);
    row.addEventListener("keydown", (e) => { if ((e as KeyboardEvent).key === "Enter") toggle(); });
    list.append(row);
  }
  return [
    h("div.row", h("h1", `${serviceOf(t, root(t))}: ${root(t).operationName}`)),
    h("div.row", h("code.soft", t.traceID), h("span.chip", clock(start / 1000, true)), h("span.chip", duration(total / 1000)), h("span.chip", `${t.spans.length} spans`), h("span.chip", `${services.size} services`),
      errors.length ? h("span.chip.bad", `${errors.length} errors`) : null, h("span.soft", "Underlined bars decide the total time.")),
    orphans.length ? h("div.notice", `${orphans.length} spans have parents that never arrived: ${[...new Set(orphans.map((s) => serviceOf(t, s)))].join(", ")} may not hand trace headers on.`) : null,
    h("div.card", h("div.row.soft", { style: "justify-content:space-between;padding-left:34%" }, [0, 0.25, 0.5, 0.75, 1].map((f) => h("span", duration((total * f) / 1000)))), list),
  ];
}

function detail(t: JaegerTrace, span: JaegerSpan, start: number): HTMLElement {
  const tags = (list: { key: string; value: unknown }[]) => h("dl.kv", list.map((x) => [h("dt", x.key), h("dd", String(x.value))]));
  const [app, ns] = serviceOf(t, span).split(".");
  return h("div.detail",
    h("div.row", h("b", serviceOf(t, span)), h("span.chip", `starts at ${duration((span.startTime - start) / 1000)}`), h("span.chip", duration(span.duration / 1000)), h("code.soft", span.spanID),
      h("a", { href: link("graph", [], { namespaces: ns, find: app }) }, "Graph"), h("a", { href: link("traces", [], { service: serviceOf(t, span) }) }, "More of this service")),
    h("h3", "Tags"), tags(span.tags), h("h3", "Process"), tags(t.processes[span.processID]?.tags ?? []),
    span.logs.length ? [h("h3", "Events"), span.logs.map((l) => h("div", h("b", duration((l.timestamp - start) / 1000)), tags(l.fields)))] : null);
}

export const dependencies: View = (main) => {
  const box = h("div.card");
  fill(main, h("div.stack", h("h1", "Dependencies seen in traces"), box));
  return { refresh: (signal) => fillFrom(box, signal, async () => {
    const found = await traceDependencies(Date.now(), Math.max(3600, sinceSeconds()) * 1000, signal);
    if (!found.length) return empty("No calls between services in the stored traces.");
    return h("table", h("thead", h("tr", h("th", "Caller"), h("th", "Called"), h("th.num", "Calls"))), h("tbody", found.map((d) => h("tr", h("td", h("a", { href: link("traces", [], { service: d.parent }) }, d.parent)), h("td", h("a", { href: link("traces", [], { service: d.child }) }, d.child)), h("td.num", d.callCount)))));
  }) };
};
