// The frame around all pages: navigation, namespaces, time window, refresh, theme, palette.
import { landing, listNamespaces, listServices, listWorkloads, role, root } from "./api";
import { fill, h, svg } from "./dom";
import { Live, notice, View } from "./parts/page";
import { current, go, link, namespaces, seconds, set } from "./route";
import { config } from "./views/config";
import { dashboards, explore } from "./views/dashboards";
import { graph } from "./views/graph";
import { mesh } from "./views/mesh";
import { overview } from "./views/overview";
import { dependencies, trace, traces } from "./views/traces";
import { services, workloads } from "./views/workloads";

interface Page { title: string; view: View; roles: string[]; key?: string; isHidden?: boolean }
const pages: Record<string, Page> = {
  overview: { title: "Overview", view: overview, roles: ["kiali"], key: "o" },
  graph: { title: "Graph", view: graph, roles: ["kiali"], key: "g" },
  workloads: { title: "Workloads", view: workloads, roles: ["kiali"], key: "w" },
  services: { title: "Services", view: services, roles: ["kiali"], key: "s" },
  traces: { title: "Traces", view: traces, roles: ["kiali", "jaeger"], key: "t" },
  trace: { title: "Trace", view: trace, roles: ["kiali", "jaeger"], isHidden: true },
  dependencies: { title: "Dependencies", view: dependencies, roles: ["jaeger"] },
  dashboards: { title: "Dashboards", view: dashboards, roles: ["kiali", "grafana"], key: "d" },
  explore: { title: "Explore", view: explore, roles: ["kiali", "grafana"], key: "e" },
  config: { title: "Config", view: config, roles: ["kiali"], key: "c" },
  mesh: { title: "Mesh", view: mesh, roles: ["kiali"], key: "m" },
};
const shown = Object.entries(pages).filter(([, p]) => p.roles.includes(role));

const app = document.getElementById("app")!;
const bar = h("header.bar");
let main = h("main", { id: "main" });
const nav = h("nav", { "aria-label": "Pages" });
app.append(nav, bar, main);

// Addresses of the programs that this console stands in for.
function adopt() {
  if (location.hash) return;
  const path = location.pathname.slice(root.length);
  const query = new URLSearchParams(location.search);
  const dashboard = /^\/d\/([^/]+)/.exec(path), byId = /^\/trace\/([0-9a-f]+)/.exec(path), console_ = /^\/console\/(\w+)/.exec(path);
  if (dashboard) go(link("dashboards", [dashboard[1]], Object.fromEntries([...query].filter(([k]) => k.startsWith("var-")))));
  else if (byId) go(link("trace", [byId[1]]));
  else if (path.startsWith("/search")) go(link("traces", [], { service: query.get("service") ?? undefined }));
  else if (console_) go(link(console_[1] in pages ? console_[1] : "overview", [], { namespaces: query.get("namespaces") ?? undefined }));
  else go(link(landing));
}

function drawNav() {
  const here = current().view === "trace" ? "traces" : current().view;
  fill(nav,
    h("a.name", { href: link(landing) }, logo(), "Lateen"),
    shown.filter(([, p]) => !p.isHidden).map(([name, p]) => h("a.item", { href: link(name), "aria-current": name === here ? "page" : undefined }, p.title, p.key ? h("span.kbd", { title: "key" }, p.key) : null)),
    h("div.foot", h("span", h("span.kbd", "Ctrl K"), " go anywhere"), h("button", { type: "button", onclick: theme }, "Light / dark")));
}

function logo(): SVGElement {
  return svg("svg", { viewBox: "0 0 32 32", width: 24, height: 24, "aria-hidden": "true" },
    svg("path", { d: "M14 3v20H5z", fill: "var(--c1)" }), svg("path", { d: "M16 7l11 16H16z", fill: "var(--c6)" }), svg("path", { d: "M4 25h24l-4 5H9z", fill: "var(--soft)" }));
}

let known: string[] = [];
function drawBar() {
  const page = pages[current().view];
  const q = current().query;
  const pick = (key: string, values: [string, string][], fallback: string, name: string) =>
    h("select", { "aria-label": name, onchange: (e: Event) => { set({ [key]: (e.target as HTMLSelectElement).value }); schedule(); void refresh(); } },
      values.map(([v, text]) => h("option", { value: v, selected: (q.get(key) ?? fallback) === v }, text)));
  const chosen = namespaces();
  const choices = [...new Set([...known, ...chosen])];
  fill(bar, h("b", page?.title ?? ""),
    role === "kiali" ? h("label", "Namespace", h("select", { onchange: (e: Event) => { set({ namespaces: (e.target as HTMLSelectElement).value }, true); } },
      h("option", { value: "" }, "all"), chosen.length > 1 ? h("option", { value: chosen.join(","), selected: true }, chosen.join(", ")) : null,
      choices.map((n) => h("option", { value: n, selected: chosen.length === 1 && chosen[0] === n }, n)))) : null,
    h("span.grow"),
    h("label", "Last", pick("since", [["1m", "1 minute"], ["5m", "5 minutes"], ["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["1d", "1 day"]], "5m", "Time window")),
    h("label", "Every", pick("refresh", [["0", "never"], ["5s", "5 s"], ["10s", "10 s"], ["30s", "30 s"], ["60s", "1 min"]], "10s", "Refresh")),
    h("button", { type: "button", title: "refresh (r)", onclick: () => void refresh() }, "Refresh"));
}

function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", document.documentElement.dataset.theme);
  window.dispatchEvent(new Event("themechange"));
}

let live: Live | void;
let leaving = new AbortController();
let asking: AbortController | undefined;
let timer: number | undefined;
let openPage = "";

async function open() {
  const route = current();
  const page = pages[route.view];
  if (!page || !page.roles.includes(role)) return go(link(landing));
  // The same page with another query only refreshes, unless the thing shown is another.
  const identity = [route.view, ...route.parts].join("/");
  drawNav();
  drawBar();
  if (identity === openPage) {
    window.dispatchEvent(new Event("statechange"));
    return void refresh();
  }
  openPage = identity;
  live?.leave?.();
  leaving.abort();
  leaving = new AbortController();
  asking?.abort();
  const next = h("main", { id: "main" });
  main.replaceWith(next);
  main = next;
  document.title = `${page.title}${route.parts.length ? ` · ${route.parts.at(-1)}` : ""} · Lateen`;
  try {
    live = await page.view(main, leaving.signal);
  } catch (error) {
    fill(main, notice(error));
  }
  schedule();
  await refresh();
}

async function refresh() {
  asking?.abort();
  asking = new AbortController();
  const signal = asking.signal;
  leaving.signal.addEventListener("abort", () => asking?.abort(), { once: true });
  try {
    await live?.refresh?.(signal);
  } catch (error) {
    if (!signal.aborted) console.error(error);
  }
}

function schedule() {
  clearInterval(timer);
  const every = seconds(current().query.get("refresh") ?? "10s", 0);
  if (every > 0) timer = window.setInterval(() => { if (!document.hidden) void refresh(); }, every * 1000);
}

async function palette() {
  const entries: { text: string; kind: string; href: string }[] = shown.filter(([, p]) => !p.isHidden).map(([name, p]) => ({ text: p.title, kind: "page", href: link(name) }));
  const input = h<HTMLInputElement>("input", { placeholder: "Go to a page, workload or service…", "aria-label": "Go to" });
  const list = h("ul", { role: "listbox" });
  const box = h<HTMLDialogElement>("dialog", { "aria-label": "Go anywhere" }, input, list);
  let at = 0;
  const fits = () => entries.filter((e) => e.text.toLowerCase().includes(input.value.toLowerCase())).slice(0, 40);
  const draw = () => fill(list, fits().map((e, i) => h("li", { role: "option", "aria-selected": String(i === at), onclick: () => { box.close(); go(e.href); } }, e.text, h("span.soft", e.kind))));
  input.addEventListener("input", () => { at = 0; draw(); });
  input.addEventListener("keydown", (e) => {
    const count = fits().length;
    if (e.key === "ArrowDown") at = Math.min(count - 1, at + 1);
    else if (e.key === "ArrowUp") at = Math.max(0, at - 1);
    else if (e.key === "Enter" && fits()[at]) { box.close(); go(fits()[at].href); }
    else return;
    e.preventDefault();
    draw();
  });
  box.addEventListener("close", () => box.remove());
  box.addEventListener("click", (e) => { if (e.target === box) box.close(); });
  document.body.append(box);
  box.showModal();
  draw();
  if (role !== "kiali") return;
  await Promise.all([
    listWorkloads("").then((all) => entries.push(...all.map((w) => ({ text: `${w.namespace}/${w.name}`, kind: "workload", href: link("workloads", [w.namespace, w.name]) })))),
    listServices("").then((all) => entries.push(...all.map((s) => ({ text: `${s.namespace}/${s.name}`, kind: "service", href: link("services", [s.namespace, s.name]) })))),
  ]).catch(() => undefined);
  draw();
}

window.addEventListener("keydown", (e) => {
  if ((e.ctrlKey || e.metaKey) && e.key === "k") {
    e.preventDefault();
    if (!document.querySelector("dialog[open]")) void palette();
    return;
  }
  const target = e.target as HTMLElement;
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) || target.tagName === "CANVAS") return;
  if (e.key === "r") return void refresh();
  const page = shown.find(([, p]) => p.key === e.key);
  if (page) go(link(page[0]));
});
window.addEventListener("hashchange", () => void open());

const saved = localStorage.getItem("theme");
if (saved) document.documentElement.dataset.theme = saved;
adopt();
if (current().view) void open();
if (role === "kiali") {
  listNamespaces().then((all) => {
    known = all.map((n) => n.name);
    drawBar();
  }).catch(() => undefined);
}
