// Control planes and proxies: versions and whether each proxy has what its istiod sent.
import { getMesh } from "../api";
import { fill, h } from "../dom";
import { dot, empty, fillFrom, table, View } from "../parts/page";

// istiod's /debug/syncz: older ones list sent and acked nonces, newer ones say the status.
function status(proxy: Record<string, unknown>, kind: string): string {
  const long = { cds: "cluster", lds: "listener", rds: "route", eds: "endpoint" }[kind]!;
  const said = proxy[`${long}_status`] ?? proxy[`${kind}_status`];
  if (typeof said === "string") return said;
  const sent = proxy[`${long}_sent`], acked = proxy[`${long}_acked`];
  if (!sent) return "NOT SENT";
  return sent === acked ? "SYNCED" : "STALE";
}
const kinds = ["cds", "lds", "rds", "eds"];
const text = (value: unknown) => (value === undefined || value === null ? "–" : String(value));

export const mesh: View = (main) => {
  const planes = h("div.card", h("div.empty", "Loading…")), proxies = h("div.card", h("div.empty", "Loading…"));
  fill(main, h("div.stack", h("div.row", h("h1", "Mesh"), h("code.soft", "istioctl proxy-status")), planes, proxies));
  return { refresh: async (signal) => {
    const data = getMesh(signal);
    data.catch(() => undefined);
    await Promise.all([
      fillFrom(planes, signal, async () => {
        const { istiods } = await data;
        if (!istiods.length) return [h("h2", "Control planes"), empty("No istiod runs here yet.")];
        return [h("h2", "Control planes"), h("table", h("thead", h("tr", ["Pod", "Revision", "Version", "Ready", "Restarts"].map((t) => h("th", t)))), h("tbody", istiods.map((i) =>
          h("tr", h("td", dot(i.summary.isReady ? "good" : "bad"), " ", i.pod), h("td", i.revision || "default"), h("td", i.version ?? (i.error ? h("span.bad", i.error) : "–")), h("td", i.summary.ready), h("td", i.summary.restarts)))))];
      }),
      fillFrom(proxies, signal, async () => {
        const rows = (await data).proxies;
        if (!rows.length) return [h("h2", "Proxies"), empty("No proxy is connected.")];
        return [h("h2", `Proxies (${rows.length})`), table<Record<string, unknown>>([
          { title: "Proxy", order: (p) => text(p.proxy), cell: (p) => [dot(kinds.some((k) => status(p, k) === "STALE") ? "warn" : "good"), " ", text(p.proxy)] },
          ...kinds.map((k) => ({ title: k.toUpperCase(), order: (p: Record<string, unknown>) => status(p, k), cell: (p: Record<string, unknown>) => {
            const s = status(p, k);
            return h("span", { class: s === "SYNCED" ? "good" : s === "STALE" || s === "ERROR" ? "bad" : "soft" }, s);
          } })),
          { title: "Istiod", order: (p) => text(p.istiod), cell: (p) => text(p.istiod) },
          { title: "Version", order: (p) => text(p.istio_version ?? p.proxy_version), cell: (p) => text(p.istio_version ?? p.proxy_version) },
        ], rows)];
      }),
    ]);
  } };
};
