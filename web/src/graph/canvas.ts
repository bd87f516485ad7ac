// Draws the graph on a canvas: nodes, curved edges with labels, moving traffic. Pan, zoom, pick, keyboard.
import { duration, number, bytes, percent } from "../format";
import { Edge, Model, Node } from "./model";
import { layout, Place } from "./layout";

export type EdgeLabel = "rate" | "time" | "share" | "none";
export interface CanvasOptions {
  label: EdgeLabel;
  isAnimated: boolean;
  onSelect: (id: string | undefined) => void;
  onOpen: (id: string) => void;
}

interface Curve { from: Place; to: Place; c1: Place; c2: Place; length: number }
interface Dot { edge: Edge; at: number; isBad: boolean }

const radius = 21, minZoom = 0.15, maxZoom = 3, maxDots = 1500;

export class GraphCanvas {
  private readonly context: CanvasRenderingContext2D;
  private model: Model = { nodes: [], edges: [] };
  private places = new Map<string, Place>();
  private curves = new Map<string, Curve>();
  private groups = new Map<string, Node[]>();
  private shape = "";
  private zoom = 1;
  private size: Place = { x: 0, y: 0 };
  private pan: Place = { x: 0, y: 0 };
  private isFitted = true;
  private dots: Dot[] = [];
  private owed = new Map<string, number>();
  private last = 0;
  private frame = 0;
  private isDirty = true;
  private style!: Record<string, string>;
  selected: string | undefined;
  private hovered: string | undefined;
  private readonly observer: ResizeObserver;

  constructor(private readonly canvas: HTMLCanvasElement, public options: CanvasOptions) {
    this.context = canvas.getContext("2d")!;
    this.observer = new ResizeObserver(() => {
      this.isDirty = true;
      if (this.isFitted) this.fit();
    });
    this.observer.observe(canvas);
    this.listen();
    this.readStyle();
    this.frame = requestAnimationFrame(this.tick);
  }

  leave() {
    cancelAnimationFrame(this.frame);
    this.observer.disconnect();
  }

  show(model: Model) {
    this.model = model;
    this.groups = new Map();
    for (const n of model.nodes) {
      const group = this.groups.get(n.group);
      if (group) group.push(n);
      else this.groups.set(n.group, [n]);
    }
    // Places stay while the same nodes and edges are there: a refresh must not move what one looks at.
    const shape = JSON.stringify([model.nodes.map((n) => n.id).sort(), model.edges.map((e) => e.id).sort()]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.places = layout(model.nodes.map((n) => ({ id: n.id, group: n.group, order: `${n.group}/${n.subtitle}/${n.title}` })), model.edges);
      this.curves = new Map(model.edges.map((e) => [e.id, this.curve(e)]));
      this.dots = [];
      if (this.isFitted) this.fit();
    } else {
      const edges = new Map(model.edges.map((e) => [e.id, e]));
      for (const dot of this.dots) dot.edge = edges.get(dot.edge.id) ?? dot.edge;
    }
    this.isDirty = true;
  }

  redraw() {
    this.readStyle();
    this.isDirty = true;
  }

  fit() {
    const all = [...this.places.values()];
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    if (!all.length || !w) return;
    const xs = all.map((p) => p.x), ys = all.map((p) => p.y);
    const [x0, x1] = [Math.min(...xs) - 90, Math.max(...xs) + 90];
    const [y0, y1] = [Math.min(...ys) - 60, Math.max(...ys) + 75];
    this.zoom = Math.max(minZoom, Math.min(1.5, w / (x1 - x0), hgt / (y1 - y0)));
    this.pan = { x: w / 2 - ((x0 + x1) / 2) * this.zoom, y: hgt / 2 - ((y0 + y1) / 2) * this.zoom };
    this.isFitted = true;
    this.isDirty = true;
  }

  scale(factor: number, at?: Place) {
    const middle = at ?? { x: this.canvas.clientWidth / 2, y: this.canvas.clientHeight / 2 };
    const zoom = Math.max(minZoom, Math.min(maxZoom, this.zoom * factor));
    this.pan = { x: middle.x - ((middle.x - this.pan.x) * zoom) / this.zoom, y: middle.y - ((middle.y - this.pan.y) * zoom) / this.zoom };
    this.zoom = zoom;
    this.isFitted = false;
    this.isDirty = true;
  }

  select(id: string | undefined) {
    this.selected = id;
    this.isDirty = true;
  }

  // Whether the box around both points touches what is on the screen, with room for labels.
  private isVisible(a: Place, b: Place): boolean {
    const room = 110;
    const x0 = -this.pan.x / this.zoom - room, y0 = -this.pan.y / this.zoom - room;
    const x1 = x0 + this.size.x / this.zoom + 2 * room, y1 = y0 + this.size.y / this.zoom + 2 * room;
    return Math.max(a.x, b.x) >= x0 && Math.min(a.x, b.x) <= x1 && Math.max(a.y, b.y) >= y0 && Math.min(a.y, b.y) <= y1;
  }

  private readStyle() {
    const css = getComputedStyle(document.documentElement);
    const get = (name: string) => css.getPropertyValue(name).trim();
    this.style = { ink: get("--ink"), soft: get("--soft"), line: get("--line"), card: get("--card"), page: get("--page"), brand: get("--brand"),
      good: get("--good"), warn: get("--warn"), bad: get("--bad"), idle: get("--idle"), focus: get("--focus") };
  }

  private curve(edge: Edge): Curve {
    const a = this.places.get(edge.source)!, b = this.places.get(edge.target)!;
    if (a === b) {
      return { from: { x: a.x - 8, y: a.y - radius }, to: { x: a.x + 8, y: a.y - radius }, c1: { x: a.x - 50, y: a.y - 80 }, c2: { x: a.x + 50, y: a.y - 80 }, length: 150 };
    }
    const isForward = b.x > a.x;
    const from = { x: a.x + (isForward ? radius : 0), y: a.y + (isForward ? 0 : radius) };
    const to = { x: b.x - (isForward ? radius + 5 : 0), y: b.y + (isForward ? 0 : radius + 5) };
    const bend = isForward ? Math.max(40, (to.x - from.x) * 0.45) : 0;
    const drop = isForward ? 0 : 70;
    return { from, to, c1: { x: from.x + bend, y: from.y + drop }, c2: { x: to.x - bend, y: to.y + drop }, length: Math.hypot(to.x - from.x, to.y - from.y) + drop };
  }

  private readonly tick = (now: number) => {
    this.frame = requestAnimationFrame(this.tick);
    const dt = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    const moves = this.options.isAnimated && this.model.edges.length > 0;
    if (moves) this.move(dt);
    if (moves || this.isDirty) this.draw();
    this.isDirty = false;
  };

  // More dots for more calls (by the logarithm), slower ones for slower answers.
  private move(dt: number) {
    for (const edge of this.model.edges) {
      if (edge.rate <= 0 && edge.bytes <= 0) continue;
      const perSecond = edge.rate > 0 ? Math.min(12, 0.4 + Math.log2(1 + edge.rate) * 0.9) : 0.8;
      let owed = (this.owed.get(edge.id) ?? Math.random()) + perSecond * dt;
      for (; owed >= 1 && this.dots.length < maxDots; --owed) {
        this.dots.push({ edge, at: 0, isBad: edge.rate > 0 && Math.random() < edge.errors / edge.rate });
      }
      this.owed.set(edge.id, Math.min(owed, 1));
    }
    for (const dot of this.dots) {
      const p95 = Number.isFinite(dot.edge.p95) ? dot.edge.p95 : 20;
      const speed = 150 / (1 + Math.log10(1 + p95 / 10));
      dot.at += (speed * dt) / (this.curves.get(dot.edge.id)?.length || 1);
    }
    this.dots = this.dots.filter((d) => d.at < 1 && this.curves.has(d.edge.id));
  }

  private draw() {
    const { canvas, context: c, style } = this;
    const ratio = window.devicePixelRatio || 1;
    const w = canvas.clientWidth, hgt = canvas.clientHeight;
    this.size = { x: w, y: hgt };
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(hgt * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(hgt * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = style.page;
    c.fillRect(0, 0, w, hgt);
    c.translate(this.pan.x, this.pan.y);
    c.scale(this.zoom, this.zoom);
    this.drawGroups();
    for (const edge of this.model.edges) this.drawEdge(edge);
    if (this.options.isAnimated) for (const dot of this.dots) this.drawDot(dot);
    if (this.zoom > 0.35) for (const edge of this.model.edges) this.drawEdgeLabel(edge);
    for (const node of this.model.nodes) this.drawNode(node);
  }

  // The picked thing and what it touches stay bright; the rest fades.
  private isFaded(id: string, ends: string[]): boolean {
    const focus = this.selected ?? this.hovered;
    if (focus === undefined || focus === id || ends.includes(focus)) return false;
    const edge = this.model.edges.find((e) => e.id === focus);
    if (edge) return !(edge.source === id || edge.target === id);
    return !this.model.edges.some((e) => (e.source === focus && e.target === id) || (e.target === focus && e.source === id));
  }

  private drawGroups() {
    const { context: c, style } = this;
    for (const nodes of this.groups.values()) {
      if (nodes.length < 2) continue;
      const at = nodes.map((n) => this.places.get(n.id)!);
      const x0 = Math.min(...at.map((p) => p.x)) - 52, x1 = Math.max(...at.map((p) => p.x)) + 52;
      const y0 = Math.min(...at.map((p) => p.y)) - 38, y1 = Math.max(...at.map((p) => p.y)) + 66;
      c.beginPath();
      c.roundRect(x0, y0, x1 - x0, y1 - y0, 12);
      c.fillStyle = style.card;
      c.globalAlpha = 0.65;
      c.fill();
      c.globalAlpha = 1;
      c.strokeStyle = style.line;
      c.lineWidth = 1.2;
      c.stroke();
      this.text(nodes[0].title, (x0 + x1) / 2, y1 - 7, style.soft, "600 11px system-ui, sans-serif");
    }
  }

  private color(edge: Edge): string {
    if (edge.protocol === "tcp") return this.style.brand;
    return this.style[edge.health];
  }

  private drawEdge(edge: Edge) {
    const { context: c } = this;
    const k = this.curves.get(edge.id);
    if (!k || !this.isVisible(k.from, k.to)) return;
    c.globalAlpha = this.isFaded(edge.id, [edge.source, edge.target]) ? 0.15 : 1;
    c.strokeStyle = c.fillStyle = this.color(edge);
    c.lineWidth = (edge.id === this.selected ? 3 : edge.id === this.hovered ? 2.4 : 1.5);
    c.setLineDash(edge.protocol === "tcp" ? [6, 4] : []);
    c.beginPath();
    c.moveTo(k.from.x, k.from.y);
    c.bezierCurveTo(k.c1.x, k.c1.y, k.c2.x, k.c2.y, k.to.x, k.to.y);
    c.stroke();
    c.setLineDash([]);
    const angle = Math.atan2(k.to.y - k.c2.y, k.to.x - k.c2.x);
    c.beginPath();
    c.moveTo(k.to.x + 4 * Math.cos(angle), k.to.y + 4 * Math.sin(angle));
    c.lineTo(k.to.x - 7 * Math.cos(angle - 0.45), k.to.y - 7 * Math.sin(angle - 0.45));
    c.lineTo(k.to.x - 7 * Math.cos(angle + 0.45), k.to.y - 7 * Math.sin(angle + 0.45));
    c.fill();
    c.globalAlpha = 1;
  }

  private drawEdgeLabel(edge: Edge) {
    const k = this.curves.get(edge.id);
    if (!k || !this.isVisible(k.from, k.to) || this.isFaded(edge.id, [edge.source, edge.target])) return;
    const { context: c, style } = this;
    let text = "";
    if (edge.protocol === "tcp") text = this.options.label === "none" ? "" : `${bytes(edge.bytes)}/s`;
    else if (this.options.label === "rate") text = `${number(edge.rate)}/s`;
    else if (this.options.label === "time") text = duration(edge.p95);
    else if (this.options.label === "share") text = percent(edge.share);
    if (edge.errors > 0 && this.options.label !== "none") text += `  ${percent((100 * edge.errors) / edge.rate)} err`;
    const isSecure = edge.mtls > 0;
    if (!text && !isSecure) return;
    const at = along(k, 0.5);
    c.font = "11px system-ui, sans-serif";
    const width = c.measureText(text).width + (isSecure ? 14 : 0) + 8;
    c.fillStyle = style.page;
    c.globalAlpha = 0.85;
    c.fillRect(at.x - width / 2, at.y - 9, width, 18);
    c.globalAlpha = 1;
    let x = at.x - width / 2 + 4;
    if (isSecure) {
      this.lock(x + 4, at.y, edge.mtls >= 99.5 ? style.soft : style.warn);
      x += 14;
    }
    c.textAlign = "left";
    c.textBaseline = "middle";
    c.fillStyle = edge.health === "bad" ? style.bad : edge.health === "warn" ? style.warn : style.ink;
    c.fillText(text, x, at.y);
  }

  private lock(x: number, y: number, paint: string) {
    const { context: c } = this;
    c.strokeStyle = c.fillStyle = paint;
    c.lineWidth = 1.3;
    c.beginPath();
    c.arc(x, y - 1.5, 2.6, Math.PI, 0);
    c.stroke();
    c.fillRect(x - 4, y - 1.5, 8, 6);
  }

  private drawDot(dot: Dot) {
    const k = this.curves.get(dot.edge.id)!;
    if (this.isFaded(dot.edge.id, [dot.edge.source, dot.edge.target])) return;
    const { context: c, style } = this;
    const p = along(k, dot.at);
    if (!this.isVisible(p, p)) return;
    c.fillStyle = dot.isBad ? style.bad : this.color(dot.edge);
    c.beginPath();
    if (dot.isBad) {
      c.moveTo(p.x, p.y - 5.5);
      c.lineTo(p.x + 5.5, p.y);
      c.lineTo(p.x, p.y + 5.5);
      c.lineTo(p.x - 5.5, p.y);
    } else {
      c.arc(p.x, p.y, 3.2, 0, 7);
    }
    c.fill();
  }

  private drawNode(node: Node) {
    const { context: c, style } = this;
    const p = this.places.get(node.id);
    if (!p || !this.isVisible(p, p)) return;
    c.globalAlpha = this.isFaded(node.id, []) ? 0.25 : 1;
    outline(c, node, p);
    c.fillStyle = style.card;
    c.fill();
    c.strokeStyle = node.health === "idle" ? style.idle : style[node.health];
    c.lineWidth = node.id === this.selected ? 4.5 : node.id === this.hovered ? 3.5 : 2.5;
    c.stroke();
    if (node.id === this.selected) {
      c.strokeStyle = style.focus;
      c.lineWidth = 1.5;
      c.beginPath();
      c.arc(p.x, p.y, radius + 7, 0, 7);
      c.stroke();
    }
    if (this.zoom < 0.2) {
      c.globalAlpha = 1;
      return;
    }
    const inside = node.data.nodeType === "unknown" ? "?" : node.subtitle && node.data.nodeType === "app" ? node.subtitle : "";
    if (inside) this.text(inside.slice(0, 6), p.x, p.y + 4, style.ink, "600 12px system-ui, sans-serif");
    else this.glyph(node, p);
    const isGrouped = this.groups.get(node.group)!.length > 1;
    if (this.zoom < 0.3) {
      c.globalAlpha = 1;
      return;
    }
    if (!isGrouped || node.data.nodeType !== "app") this.text(short(node.title), p.x, p.y + radius + 15, style.ink, "600 12px system-ui, sans-serif");
    else if (this.zoom > 0.5) this.text(short(node.data.workload ?? node.title), p.x, p.y + radius + 14, style.ink, "11px system-ui, sans-serif");
    if (!isGrouped && node.data.namespace !== "unknown") this.text(node.data.namespace, p.x, p.y + radius + 29, style.soft, "10.5px system-ui, sans-serif");
    c.globalAlpha = 1;
  }

  private glyph(node: Node, p: Place) {
    const { context: c, style } = this;
    c.strokeStyle = style.soft;
    c.lineWidth = 1.6;
    c.beginPath();
    if (node.data.isRoot) {
      c.moveTo(p.x - 8, p.y);
      c.lineTo(p.x + 8, p.y);
      c.moveTo(p.x + 3, p.y - 5);
      c.lineTo(p.x + 8, p.y);
      c.lineTo(p.x + 3, p.y + 5);
    } else if (node.data.nodeType === "service") {
      c.arc(p.x, p.y + 3, 3, 0, 7);
    } else {
      c.rect(p.x - 6, p.y - 6, 12, 12);
      c.moveTo(p.x - 6, p.y - 1);
      c.lineTo(p.x + 6, p.y - 1);
    }
    c.stroke();
  }

  private text(text: string, x: number, y: number, paint: string, font: string) {
    const { context: c, style } = this;
    c.font = font;
    c.textAlign = "center";
    c.textBaseline = "alphabetic";
    c.lineWidth = 3;
    c.strokeStyle = style.page;
    c.strokeText(text, x, y);
    c.fillStyle = paint;
    c.fillText(text, x, y);
  }

  private pick(event: { offsetX: number; offsetY: number }): string | undefined {
    const p = { x: (event.offsetX - this.pan.x) / this.zoom, y: (event.offsetY - this.pan.y) / this.zoom };
    for (const node of this.model.nodes) {
      const at = this.places.get(node.id)!;
      if (Math.hypot(at.x - p.x, at.y - p.y) < radius + 5) return node.id;
    }
    let best: string | undefined, distance = 8 / Math.min(1, this.zoom);
    for (const edge of this.model.edges) {
      const k = this.curves.get(edge.id)!;
      for (let t = 0; t <= 1; t += 0.04) {
        const at = along(k, t);
        const d = Math.hypot(at.x - p.x, at.y - p.y);
        if (d < distance) [best, distance] = [edge.id, d];
      }
    }
    return best;
  }

  private listen() {
    const { canvas } = this;
    let from: Place | undefined, moved = false;
    canvas.addEventListener("pointerdown", (e) => {
      from = { x: e.clientX - this.pan.x, y: e.clientY - this.pan.y };
      moved = false;
      canvas.setPointerCapture(e.pointerId);
    });
    canvas.addEventListener("pointermove", (e) => {
      if (from && e.buttons) {
        const pan = { x: e.clientX - from.x, y: e.clientY - from.y };
        moved ||= Math.hypot(pan.x - this.pan.x, pan.y - this.pan.y) > 3;
        if (moved) {
          this.pan = pan;
          this.isFitted = false;
        }
      } else {
        const hit = this.pick(e);
        if (hit !== this.hovered) canvas.style.cursor = hit ? "pointer" : "";
        this.hovered = hit;
      }
      this.isDirty = true;
    });
    canvas.addEventListener("pointerup", (e) => {
      from = undefined;
      if (!moved) this.options.onSelect(this.pick(e));
    });
    canvas.addEventListener("pointerleave", () => {
      this.hovered = undefined;
      this.isDirty = true;
    });
    canvas.addEventListener("dblclick", (e) => {
      const hit = this.pick(e);
      if (hit) this.options.onOpen(hit);
    });
    canvas.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.scale(Math.exp(-e.deltaY * 0.0016), { x: e.offsetX, y: e.offsetY });
    }, { passive: false });
    canvas.addEventListener("keydown", (e) => this.key(e));
  }

  // Arrows walk along the edges and within a column.
  private key(event: KeyboardEvent) {
    const k = event.key;
    if (k === "+" || k === "=") this.scale(1.2);
    else if (k === "-") this.scale(1 / 1.2);
    else if (k === "f" || k === "0") this.fit();
    else if (k === "Escape") this.options.onSelect(undefined);
    else if (k === "Enter" && this.selected) this.options.onOpen(this.selected);
    else if (k.startsWith("Arrow")) this.options.onSelect(this.step(k));
    else return;
    event.preventDefault();
  }

  private step(key: string): string | undefined {
    const ids = this.model.nodes.map((n) => n.id).filter((id) => this.places.has(id));
    const here = this.selected && this.places.get(this.selected);
    if (!here) return ids.sort((a, b) => this.places.get(a)!.x - this.places.get(b)!.x)[0];
    const [dx, dy] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[key] ?? [0, 0];
    let best = this.selected, cost = Infinity;
    for (const id of ids) {
      const p = this.places.get(id)!;
      const ahead = (p.x - here.x) * dx + (p.y - here.y) * dy;
      const aside = Math.abs((p.x - here.x) * dy) + Math.abs((p.y - here.y) * dx);
      if (ahead > 5 && ahead + aside * 2 < cost) [best, cost] = [id, ahead + aside * 2];
    }
    return best;
  }
}

function outline(c: CanvasRenderingContext2D, node: Node, p: Place) {
  c.beginPath();
  if (node.data.nodeType === "service") {
    c.moveTo(p.x, p.y - radius);
    c.lineTo(p.x + radius, p.y + radius * 0.75);
    c.lineTo(p.x - radius, p.y + radius * 0.75);
    c.closePath();
  } else if (node.data.nodeType === "workload") {
    c.arc(p.x, p.y, radius, 0, 7);
  } else if (node.data.nodeType === "unknown") {
    c.arc(p.x, p.y, radius * 0.8, 0, 7);
  } else {
    c.roundRect(p.x - radius, p.y - radius, radius * 2, radius * 2, 9);
  }
}

function along(k: Curve, t: number): Place {
  const u = 1 - t;
  const mix = (a: number, b: number, c: number, d: number) => u * u * u * a + 3 * u * u * t * b + 3 * u * t * t * c + t * t * t * d;
  return { x: mix(k.from.x, k.c1.x, k.c2.x, k.to.x), y: mix(k.from.y, k.c1.y, k.c2.y, k.to.y) };
}

const short = (text: string) => (text.length > 24 ? text.slice(0, 22) + "…" : text);
