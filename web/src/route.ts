// All state lives in the address: #/view/part?key=value. Views read it, links write it.
export interface Route {
  view: string;
  parts: string[];
  query: URLSearchParams;
}

export function current(): Route {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...parts] = path.split("/").map(decodeURIComponent);
  return { view, parts, query: new URLSearchParams(query) };
}

// What every page keeps when another is opened.
const kept = ["namespaces", "since", "refresh"];

export function link(view: string, parts: string[] = [], query: Record<string, string | undefined> = {}): string {
  const params = new URLSearchParams();
  const now = current().query;
  for (const key of kept) {
    const value = now.get(key);
    if (value) params.set(key, value);
  }
  for (const [key, value] of Object.entries(query)) {
    if (value === undefined || value === "") params.delete(key);
    else params.set(key, value);
  }
  const text = params.toString();
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}${text ? "?" + text : ""}`;
}

// Changes parts of the query in place; `push` makes a step of the browser's history.
export function set(changes: Record<string, string | undefined>, push = false) {
  const route = current();
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === "") route.query.delete(key);
    else route.query.set(key, value);
  }
  const text = route.query.toString();
  const hash = `#/${[route.view, ...route.parts].map(encodeURIComponent).join("/")}${text ? "?" + text : ""}`;
  if (hash === location.hash) return;
  if (push) location.hash = hash;
  else {
    history.replaceState(null, "", hash);
    window.dispatchEvent(new Event("statechange"));
  }
}

export function go(hash: string) {
  location.hash = hash;
}

const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400 };
export function seconds(text: string | null, fallback: number): number {
  const match = /^(\d+)([smhd])$/.exec(text ?? "");
  return match ? Number(match[1]) * units[match[2]] : fallback;
}

// The window that the page looks at.
export function sinceSeconds(): number {
  return seconds(current().query.get("since"), 300);
}
export function namespaces(): string[] {
  return (current().query.get("namespaces") ?? "").split(",").filter(Boolean);
}
