// What all pages are made of: a life cycle with refresh, notices, tables, health colours.
import { ApiError } from "../api";
import { h, fill, Child } from "../dom";

// A view draws into `main` and may return functions for leaving and for refreshing.
export interface Live {
  refresh?: (signal: AbortSignal) => Promise<void> | void;
  leave?: () => void;
}
export type View = (main: HTMLElement, signal: AbortSignal) => Live | Promise<Live> | void;

export function notice(error: unknown, hint?: string): HTMLElement {
  const message = error instanceof Error ? error.message : String(error);
  return h("div.notice.bad", { role: "alert" }, h("b", "This part has no data: "), message, hint ? h("div.soft", hint) : null);
}

export function empty(...what: Child[]): HTMLElement {
  return h("div.empty", ...what);
}

// Fills `box` with what `make` returns, or with the reason why it could not. One slow or broken source never
// blanks the rest of a page.
export async function fillFrom(box: HTMLElement, signal: AbortSignal, make: () => Promise<Child>, hint?: string) {
  try {
    const content = await make();
    if (!signal.aborted) fill(box, content);
  } catch (error) {
    if (signal.aborted || (error as Error).name === "AbortError") return;
    const note = error instanceof ApiError || error instanceof Error ? error : new Error(String(error));
    fill(box, notice(note, hint));
  }
}

export type Health = "good" | "warn" | "bad" | "idle";
// Kiali's thresholds: any error is a warning, 10% of errors (20% of 4xx) are a failure.
export function health(requests: number, errors: number): Health {
  if (!(requests > 0)) return "idle";
  const share = errors / requests;
  return share >= 0.1 ? "bad" : share > 0.001 ? "warn" : "good";
}
export const worst = (a: Health, b: Health): Health => {
  const order: Health[] = ["idle", "good", "warn", "bad"];
  return order.indexOf(a) > order.indexOf(b) ? a : b;
};
export const healthWord: Record<Health, string> = { good: "healthy", warn: "degraded", bad: "failing", idle: "no traffic" };
export function dot(state: Health): HTMLElement {
  return h("span.dot", { class: state, role: "img", title: healthWord[state], "aria-label": healthWord[state] });
}

export interface Column<T> {
  title: string;
  cell: (row: T) => Child;
  order?: (row: T) => number | string;
  isNumber?: boolean;
}

// A table that sorts by a click on its heads.
export function table<T>(columns: Column<T>[], rows: T[], start = 0, isDown = false): HTMLElement {
  let by = start;
  let down = isDown;
  const body = h("tbody");
  const heads = columns.map((column, i) =>
    h(column.isNumber ? "th.num" : "th", { scope: "col" },
      column.order ? h("button", { type: "button", onclick: () => sort(i) }, column.title) : column.title));
  const draw = () => {
    const order = columns[by]?.order;
    const sorted = order ? [...rows].sort((a, b) => compare(order(a), order(b)) * (down ? -1 : 1)) : rows;
    fill(body, sorted.map((row) => h("tr", columns.map((c) => h(c.isNumber ? "td.num" : "td", c.cell(row))))));
    heads.forEach((head, i) => {
      if (i === by && order) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  };
  const sort = (i: number) => {
    down = by === i ? !down : !!columns[i].isNumber;
    by = i;
    draw();
  };
  draw();
  return h("table", h("thead", h("tr", heads)), body);
}

function compare(a: number | string, b: number | string): number {
  if (typeof a === "number" && typeof b === "number") return (Number.isNaN(a) ? -1 : a) - (Number.isNaN(b) ? -1 : b);
  return String(a).localeCompare(String(b));
}

// YAML with its keys, texts and atoms coloured.
export function yaml(text: string): HTMLElement {
  const pre = h("pre.text", { tabindex: "0" });
  for (const line of text.split("\n")) {
    const match = /^(\s*(?:- )*)([^\s:#"'][^:]*|"[^"]*")(:)(\s.*|)$/.exec(line);
    if (!match) {
      pre.append(value(line), "\n");
      continue;
    }
    pre.append(match[1], h("span.key", match[2]), match[3], value(match[4]), "\n");
  }
  return pre;
}
function value(text: string): Node {
  const clean = text.replace(/^\s*(- )*/, "").trim();
  if (clean === "") return document.createTextNode(text);
  const kind = /^(-?[\d.]+|true|false|null|\{\}|\[\])$/.test(clean) ? "atom" : "string";
  return h(`span.${kind}`, text);
}
