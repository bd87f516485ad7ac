// The graph's data made ready for drawing: numbers instead of Kiali's texts, health, titles.
import { GraphData, GraphEdge, GraphNode } from "../api";
import { Health, health } from "../parts/page";

export interface Node {
  id: string;
  data: GraphNode;
  title: string;
  subtitle: string;
  group: string;
  rate: number;
  errors: number;
  health: Health;
}
export interface Edge {
  id: string;
  source: string;
  target: string;
  data: GraphEdge;
  protocol: string;
  rate: number;
  errors: number;
  share: number;   // percent of the source's calls
  bytes: number;
  p95: number;     // milliseconds; NaN when unknown
  mtls: number;    // percent; NaN when unknown
  health: Health;
}
export interface Model { nodes: Node[]; edges: Edge[] }

const value = (rates: Record<string, string> | undefined, key: string) => Number(rates?.[key] ?? 0);

export function model(data: GraphData): Model {
  return { nodes: data.elements.nodes.map((n) => node(n.data)), edges: data.elements.edges.map((e) => edge(e.data)) };
}

function node(data: GraphNode): Node {
  let rate = 0, errors = 0;
  for (const { rates } of data.traffic) {
    rate += value(rates, "httpIn") + value(rates, "grpcIn");
    errors += value(rates, "httpIn5xx") + value(rates, "httpInNoResponse") + value(rates, "grpcInErr");
  }
  // Nobody calls a root: what it sends shows that it is alive.
  const sent = data.traffic.reduce((sum, { rates }) => sum + value(rates, "httpOut") + value(rates, "grpcOut"), 0);
  const isApp = data.nodeType === "app";
  const title = data.nodeType === "unknown" ? "unknown" : isApp ? data.app! : data.workload ?? data.service ?? data.app ?? "unknown";
  const subtitle = isApp ? data.version && data.version !== "latest" ? data.version : "" : data.nodeType === "service" ? "service" : "";
  return { id: data.id, data, title, subtitle, group: isApp ? `${data.namespace}/${data.app}` : data.id, rate, errors, health: data.isRoot && !rate ? health(sent, 0) : health(rate, errors) };
}

function edge(data: GraphEdge): Edge {
  const { protocol, rates } = data.traffic;
  const isGrpc = protocol === "grpc";
  const rate = value(rates, isGrpc ? "grpc" : "http");
  const errors = isGrpc ? value(rates, "grpcErr") : value(rates, "http5xx") + value(rates, "httpNoResponse");
  return {
    id: data.id, source: data.source, target: data.target, data, protocol, rate, errors,
    share: value(rates, "httpPercentReq"), bytes: value(rates, "tcp"),
    p95: data.responseTime === undefined ? NaN : Number(data.responseTime),
    mtls: data.isMTLS === undefined ? NaN : Number(data.isMTLS), health: health(rate, errors),
  };
}

// Keeps what fits: text in a name, or only what is not healthy, with its neighbours' ends.
export function filter(full: Model, find: string, onlyBad: boolean): Model {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length && !onlyBad) return full;
  const fits = (n: Node) => words.every((w) => `${n.title} ${n.subtitle} ${n.data.namespace} ${n.data.workload ?? ""}`.toLowerCase().includes(w));
  const hits = new Set(full.nodes.filter((n) => fits(n) && (!onlyBad || n.health === "warn" || n.health === "bad")).map((n) => n.id));
  const edges = full.edges.filter((e) => onlyBad ? e.health === "warn" || e.health === "bad" || hits.has(e.target) : hits.has(e.source) || hits.has(e.target));
  const kept = new Set([...hits, ...edges.flatMap((e) => [e.source, e.target])]);
  return { nodes: full.nodes.filter((n) => kept.has(n.id)), edges };
}
