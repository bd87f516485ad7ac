// The mesh's configuration: a list with what is wrong, and the YAML of one object.
import { getObject, listObjects, Issue } from "../api";
import { fill, h } from "../dom";
import { age } from "../format";
import { dot, empty, fillFrom, table, View, yaml } from "../parts/page";
import { current, link, namespaces, set } from "../route";

export const config: View = (main, signal) => {
  const { parts } = current();
  if (parts.length >= 3) return one(main, parts[0], parts[1], parts[2]);
  const box = h("div.card", h("div.empty", "Loading…"));
  const q = () => current().query;
  const find = h<HTMLInputElement>("input", { type: "search", placeholder: "Find…", "aria-label": "Find", value: q().get("find") ?? "", oninput: () => set({ find: find.value }) });
  const only = h("button", { type: "button", "aria-pressed": String(q().get("issues") === "on"), onclick: () => {
    const isOn = q().get("issues") !== "on";
    set({ issues: isOn ? "on" : undefined });
    only.setAttribute("aria-pressed", String(isOn));
  } }, "With issues only");
  fill(main, h("div.stack", h("div.row", h("h1", "Configuration"), find, only, h("code.soft", "istioctl analyze")), box));
  const load = (why: AbortSignal) => fillFrom(box, why, async () => {
    const text = (q().get("find") ?? "").toLowerCase();
    const rows = (await listObjects("", why)).filter((o) => (!namespaces().length || namespaces().includes(o.namespace)) && `${o.kind} ${o.namespace}/${o.name} ${o.hosts.join(" ")}`.toLowerCase().includes(text) && (q().get("issues") !== "on" || o.issues.length));
    if (!rows.length) return empty(q().get("issues") === "on" ? "No issues found." : "No mesh configuration here yet. Try: kubectl apply -f samples/bookinfo/networking/bookinfo-gateway.yaml");
    const state = (issues: Issue[]) => (issues.some((i) => i.severity === "error") ? "bad" : issues.length ? "warn" : "good");
    return table([
      { title: "Name", order: (o) => o.name, cell: (o) => [dot(state(o.issues)), " ", h("a", { href: link("config", [o.kind, o.namespace, o.name]) }, o.name)] },
      { title: "Kind", order: (o) => o.kind, cell: (o) => o.kind },
      { title: "Namespace", order: (o) => o.namespace, cell: (o) => o.namespace },
      { title: "Hosts", cell: (o) => o.hosts.join(", ") },
      { title: "Issues", order: (o) => -o.issues.length, cell: (o) => (o.issues.length ? h("span", { class: state(o.issues) }, o.issues[0].message, o.issues.length > 1 ? ` and ${o.issues.length - 1} more` : "") : h("span.good", "none")) },
      { title: "API", cell: (o) => h("code.soft", o.apiVersion) },
      { title: "Age", isNumber: true, order: (o) => -Date.parse(o.created), cell: (o) => age(o.created) },
    ], rows, 1);
  });
  window.addEventListener("statechange", () => void load(signal), { signal });
  return { refresh: load };
};

function one(main: HTMLElement, kind: string, ns: string, name: string) {
  const box = h("div.stack", h("div.empty", "Loading…"));
  fill(main, h("div.stack", h("div.row", h("h1", name), h("span.chip", kind), h("span.chip", ns), h("code.soft", `kubectl get ${kind.toLowerCase()} -n ${ns} ${name} -o yaml`)), box));
  return { refresh: (signal: AbortSignal) => fillFrom(box, signal, async () => {
    const object = await getObject(kind, ns, name, signal);
    return [object.issues.map((i) => h("div.notice", { class: i.severity === "error" ? "bad" : "" }, h("b", i.severity, ": "), i.path ? h("code", i.path, " ") : null, i.message)), yaml(object.yaml)];
  }) };
}
