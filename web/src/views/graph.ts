// The graph page: toolbar, canvas, side panel for what is picked.
import { getGraph } from "../api";
import { fill, h } from "../dom";
import { EdgeLabel, GraphCanvas } from "../graph/canvas";
import { filter, Model, model } from "../graph/model";
import { edgePanel, nodePanel, summaryPanel, detailLink } from "../graph/panel";
import { empty, notice, View } from "../parts/page";
import { current, go, namespaces, seconds, set } from "../route";

const types: [string, string][] = [["versionedApp", "Versioned app"], ["app", "App"], ["workload", "Workload"], ["service", "Service"]];
const labels: [EdgeLabel, string][] = [["rate", "Requests/s"], ["time", "p95 time"], ["share", "Share"], ["none", "No labels"]];

export const graph: View = (main, signal) => {
  main.classList.add("full");
  const param = (key: string, fallback: string) => current().query.get(key) ?? fallback;
  const canvasElement = h<HTMLCanvasElement>("canvas", { tabindex: "0", role: "application", "aria-label": "Service graph. Arrow keys move between nodes, Enter opens, plus and minus zoom, F fits." });
  const over = h("div.over");
  const side = h("aside.side", { "aria-live": "polite" });
  const outline = h("div.visually-hidden");
  let full: Model = { nodes: [], edges: [] };

  const select = (id: string | undefined) => set({ selected: id });
  const open = (id: string) => {
    const node = full.nodes.find((n) => n.id === id);
    const to = node && detailLink(node);
    if (to) go(to);
  };
  const canvas = new GraphCanvas(canvasElement, { label: param("label", "rate") as EdgeLabel, isAnimated: param("animate", "on") === "on", onSelect: select, onOpen: open });

  const choice = (key: string, values: [string, string][], fallback: string, name: string) =>
    h("select", { "aria-label": name, onchange: (e: Event) => set({ [key]: (e.target as HTMLSelectElement).value }) },
      values.map(([v, text]) => h("option", { value: v, selected: param(key, fallback) === v }, text)));
  const toggle = (key: string, text: string, isOnByDefault = false) =>
    h("button", { type: "button", "aria-pressed": String(param(key, isOnByDefault ? "on" : "off") === "on"), onclick: (e: Event) => {
      const isOn = param(key, isOnByDefault ? "on" : "off") !== "on";
      set({ [key]: isOn === isOnByDefault ? undefined : isOn ? "on" : "off" });
      (e.currentTarget as Element).setAttribute("aria-pressed", String(isOn));
    } }, text);
  const find = h<HTMLInputElement>("input", { type: "search", placeholder: "Find…", "aria-label": "Find in graph", value: param("find", ""), oninput: () => set({ find: find.value }) });
  fill(main,
    h("div.toolbar", choice("type", types, "versionedApp", "Graph type"), choice("label", labels, "rate", "Edge labels"),
      toggle("services", "Service nodes"), toggle("animate", "Traffic", true), toggle("unhealthy", "Unhealthy only"), find),
    h("div.graph",
      h("div.stage", canvasElement, over,
        h("div.legend", ["good", "warn", "bad", "idle"].map((s) => h("span.row", h("span.dot", { class: s }), { good: "healthy", warn: "some errors", bad: "failing", idle: "no traffic" }[s] as string))),
        h("div.zoom", h("button", { type: "button", title: "zoom out (-)", onclick: () => canvas.scale(1 / 1.25) }, "−"),
          h("button", { type: "button", title: "fit (F)", onclick: () => canvas.fit() }, "Fit"),
          h("button", { type: "button", title: "zoom in (+)", onclick: () => canvas.scale(1.25) }, "+"))),
      side),
    outline);

  let drawn = "";
  const show = () => {
    const shown = filter(full, param("find", ""), param("unhealthy", "off") === "on");
    canvas.options.label = param("label", "rate") as EdgeLabel;
    canvas.options.isAnimated = param("animate", "on") === "on" && !matchMedia("(prefers-reduced-motion: reduce)").matches;
    canvas.show(shown);
    const id = param("selected", "");
    canvas.select(id || undefined);
    const node = full.nodes.find((n) => n.id === id);
    const edge = full.edges.find((e) => e.id === id);
    // Charts in the panel are asked for again only when something else is picked or data came.
    const key = `${id}/${stamp}`;
    if (key !== drawn) {
      drawn = key;
      fill(side, node ? nodePanel(node, full, signal) : edge ? edgePanel(edge, full, signal) : summaryPanel(full));
    }
    if (full.nodes.length && !shown.nodes.length) fill(over, empty(h("div.card", "Nothing in the graph fits.")));
    else if (full.nodes.length) fill(over);
    fill(outline, h("table", h("caption", "Calls in the graph"), full.edges.map((e) => {
      const [a, b] = [e.source, e.target].map((n) => full.nodes.find((x) => x.id === n));
      return h("tr", h("td", `${a?.title} ${a?.subtitle}`), h("td", `${b?.title} ${b?.subtitle}`), h("td", `${e.rate} requests per second`), h("td", `${e.errors} errors per second`));
    })));
  };

  let stamp = 0;
  let asked = "";
  const load = async (why: AbortSignal) => {
    const q = { namespaces: namespaces().join(","), duration: `${seconds(param("since", "5m"), 300)}s`, graphType: param("type", "versionedApp"), injectServiceNodes: String(param("services", "off") === "on") };
    asked = JSON.stringify(q);
    try {
      const data = await getGraph(q, why);
      if (why.aborted) return;
      full = model(data);
      stamp = data.timestamp;
      if (!full.nodes.length) {
        fill(over, h("div.card", h("h2", "No traffic in this window"), h("p.soft", "The graph shows calls that the sidecars reported. Send some, or widen the window:"),
          h("pre.text", "for i in $(seq 100); do curl -s -o /dev/null http://localhost/productpage; done")));
      }
      show();
    } catch (error) {
      if (!why.aborted) fill(over, notice(error, "The graph is made from Prometheus' istio_requests_total."));
    }
  };
  const changed = () => {
    const was = asked;
    const q = { namespaces: namespaces().join(","), duration: `${seconds(param("since", "5m"), 300)}s`, graphType: param("type", "versionedApp"), injectServiceNodes: String(param("services", "off") === "on") };
    if (JSON.stringify(q) !== was) void load(signal);
    else show();
  };
  window.addEventListener("statechange", changed, { signal });
  window.addEventListener("themechange", () => canvas.redraw(), { signal });
  void load(signal);
  return { refresh: load, leave: () => canvas.leave() };
};
