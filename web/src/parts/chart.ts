// Line charts as SVG: axes, hover, legend that switches series. Times in milliseconds.
import { h, svg, fill } from "../dom";
import { byUnit, clock } from "../format";

export interface Line {
  name: string;
  points: [number, number][];
}
export interface ChartOptions {
  unit?: string;
  height?: number;
  start: number;
  end: number;
  isArea?: boolean;
  min?: number;
  max?: number;
  colors?: string[];
}

const palette = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
export const color = (i: number) => `var(${palette[i % palette.length]})`;

const left = 58, right = 8, top = 8, bottom = 20;

export function chart(lines: Line[], options: ChartOptions): HTMLElement {
  const off = new Set<string>();
  const box = h("div.chart");
  const keys = h("div.keys");
  const height = options.height ?? 160;
  const paint = (i: number) => options.colors?.[i] ?? color(i);
  let width = 0;
  const draw = () => {
    if (!width) return;
    const shown = lines.map((line, i) => ({ line, i })).filter(({ line }) => !off.has(line.name));
    fill(box, plot(shown, options, width, height, paint));
    hover(box, shown, options, width, height, paint);
  };
  box.style.minHeight = `${height}px`;
  // Drawn in real pixels, so that texts have one size in wide and in narrow panels.
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    draw();
  }).observe(box);
  fill(keys, lines.map((line, i) => {
    const last = line.points.at(-1)?.[1];
    const button = h("button", { type: "button", title: "show or hide", onclick: () => {
      if (off.has(line.name)) off.delete(line.name);
      else off.add(line.name);
      button.classList.toggle("off", off.has(line.name));
      draw();
    } }, h("span.swatch", { style: `background:${paint(i)}` }), line.name, h("b", last === undefined ? "" : byUnit(last, options.unit)));
    return button;
  }));
  return h("div", box, lines.length > 1 || (lines[0]?.name ?? "") !== "" ? keys : null);
}

function bounds(shown: { line: Line }[], options: ChartOptions): [number, number] {
  let high = options.max ?? -Infinity;
  let low = options.min ?? 0;
  for (const { line } of shown) for (const [, v] of line.points) {
    if (!Number.isFinite(v)) continue;
    if (options.max === undefined) high = Math.max(high, v);
    if (options.min === undefined) low = Math.min(low, v);
  }
  if (!Number.isFinite(high) || high <= low) high = low + 1;
  return [low, options.max === undefined ? low + niceStep((high - low) * 1.08) * 4 : high];
}

// A quarter of the axis: 1, 2, 2.5 or 5 times a power of ten.
function niceStep(span: number): number {
  const raw = span / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  for (const factor of [1, 2, 2.5, 5, 10]) if (factor * power >= raw) return factor * power;
  return 10 * power;
}

function plot(shown: { line: Line; i: number }[], options: ChartOptions, width: number, height: number, paint: (i: number) => string): SVGElement {
  const [low, high] = bounds(shown, options);
  const x = (t: number) => left + ((t - options.start) / (options.end - options.start)) * (width - left - right);
  const y = (v: number) => top + (1 - (v - low) / (high - low)) * (height - top - bottom);
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": shown.map((s) => s.line.name).join(", ") });
  for (let i = 0; i <= 4; ++i) {
    const v = low + ((high - low) * i) / 4;
    root.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }));
    root.append(svg("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, byUnit(v, options.unit)));
  }
  const ticks = width > 430 ? 4 : 1;
  for (let i = 0; i <= ticks; ++i) {
    const t = options.start + ((options.end - options.start) * i) / ticks;
    const anchor = i === 0 ? "start" : i === ticks ? "end" : "middle";
    root.append(svg("text", { x: x(t), y: height - 5, "text-anchor": anchor }, clock(t)));
  }
  for (const { line, i } of shown) {
    const good = line.points.filter(([, v]) => Number.isFinite(v));
    if (!good.length) continue;
    const path = good.map(([t, v], n) => `${n ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    if (options.isArea) {
      const area = `${path}L${x(good.at(-1)![0]).toFixed(1)} ${y(low)}L${x(good[0][0]).toFixed(1)} ${y(low)}Z`;
      root.append(svg("path", { d: area, fill: paint(i), opacity: 0.14 }));
    }
    root.append(svg("path", { d: path, fill: "none", stroke: paint(i), "stroke-width": 1.6, "stroke-linejoin": "round" }));
    if (good.length === 1) root.append(svg("circle", { cx: x(good[0][0]), cy: y(good[0][1]), r: 2.5, fill: paint(i) }));
  }
  return root;
}

function hover(box: HTMLElement, shown: { line: Line; i: number }[], options: ChartOptions, width: number, height: number, paint: (i: number) => string) {
  const tip = h("div.tip", { hidden: true });
  const cursor = svg("line", { class: "cursor", y1: top, y2: height - bottom, visibility: "hidden" });
  box.querySelector("svg")!.append(cursor);
  box.append(tip);
  box.onpointermove = (event) => {
    const area = box.querySelector("svg")!.getBoundingClientRect();
    const at = ((event.clientX - area.left) / area.width) * width;
    const t = options.start + ((at - left) / (width - left - right)) * (options.end - options.start);
    if (at < left || at > width - right) {
      tip.hidden = true;
      return;
    }
    cursor.setAttribute("x1", String(at));
    cursor.setAttribute("x2", String(at));
    cursor.setAttribute("visibility", "visible");
    const rows = shown.map(({ line, i }) => ({ i, name: line.name, point: nearest(line.points, t) })).filter((r) => r.point);
    rows.sort((a, b) => b.point![1] - a.point![1]);
    fill(tip, h("div.soft", clock(t)), rows.slice(0, 12).map((r) =>
      h("div.row", h("span.swatch", { style: `background:${paint(r.i)}` }), r.name || "value", h("b", byUnit(r.point![1], options.unit)))));
    tip.hidden = rows.length === 0;
    const isRight = event.clientX - area.left > area.width / 2;
    tip.style.left = isRight ? "" : `${event.clientX - area.left + 14}px`;
    tip.style.right = isRight ? `${area.right - event.clientX + 14}px` : "";
    tip.style.top = "8px";
  };
  box.onpointerleave = () => {
    tip.hidden = true;
    cursor.setAttribute("visibility", "hidden");
  };
}

function nearest(points: [number, number][], t: number): [number, number] | undefined {
  let best: [number, number] | undefined;
  for (const p of points) if (Number.isFinite(p[1]) && (!best || Math.abs(p[0] - t) < Math.abs(best[0] - t))) best = p;
  return best;
}

// A tiny chart without axes, for cards and side panels.
export function spark(points: [number, number][], stroke = "var(--c1)", height = 34): SVGElement {
  const w = 220;
  const values = points.map((p) => p[1]).filter(Number.isFinite);
  const high = Math.max(1e-9, ...values);
  const [first, last] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 1];
  const d = points.filter((p) => Number.isFinite(p[1]))
    .map(([t, v], i) => `${i ? "L" : "M"}${(((t - first) / Math.max(1, last - first)) * w).toFixed(1)} ${(height - 2 - (v / high) * (height - 5)).toFixed(1)}`).join("");
  return svg("svg", { viewBox: `0 0 ${w} ${height}`, width: "100%", height, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { d: d ? `${d}L${w} ${height}L0 ${height}Z` : "", fill: stroke, opacity: 0.13 }),
    svg("path", { d, fill: "none", stroke, "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
}
