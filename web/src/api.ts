// The server's API. Where things are depends on the role that served the page.
const data = document.documentElement.dataset;
export const role = data.role ?? "kiali";
export const root = data.root ?? "";
export const landing = data.landing ?? "overview";

const api = `${root}/api`;
const jaeger = role === "jaeger" ? api : `${api}/tracing`;
const prometheus = `${api}/prometheus/api/v1`;

export class ApiError extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, { signal, headers: { accept: "application/json" } });
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError("the console's server does not answer", 0);
  }
  const text = await response.text();
  let body: unknown = text;
  try {
    body = JSON.parse(text);
  } catch {
    // Not JSON: said below when it matters.
  }
  if (!response.ok) throw new ApiError(complaint(body) ?? `${response.status} from ${url}`, response.status);
  return body as T;
}

function complaint(body: unknown): string | undefined {
  const value = body as { error?: string; errors?: { msg: string }[] };
  if (typeof value !== "object" || value === null) return undefined;
  return value.error ?? value.errors?.[0]?.msg;
}

function text(params: Record<string, string | number | undefined>): string {
  const out = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (value !== undefined && value !== "") out.set(key, String(value));
  return out.toString();
}

// ---- Kubernetes and the mesh
export interface Namespace { name: string; injection: string; revision: string; created: string; labels: Record<string, string> }
export interface Pod {
  name: string; status: string; ready: string; isReady: boolean; restarts: number; ip: string; node: string; created: string;
  sidecar: boolean; revision: string; containers: { name: string; image: string }[];
}
export interface Workload {
  namespace: string; name: string; kind: string; replicas: number; ready: number; labels: Record<string, string>; created: string; pods: Pod[];
}
export interface Service {
  namespace: string; name: string; type: string; clusterIP: string; selector: Record<string, string>; created: string;
  ports: { name?: string; port: number; targetPort?: number | string; nodePort?: number; protocol?: string }[];
}
export interface Issue { severity: "error" | "warning"; path: string; message: string }
export interface MeshObject { apiVersion: string; kind: string; namespace: string; name: string; created: string; hosts: string[]; issues: Issue[] }
export interface Mesh {
  istiods: { pod: string; revision: string; version?: string; error?: string; summary: Pod }[];
  proxies: Record<string, unknown>[];
}

export const listNamespaces = (s?: AbortSignal) => get<Namespace[]>(`${api}/namespaces`, s);
export const listWorkloads = (ns: string, s?: AbortSignal) => get<Workload[]>(`${api}/workloads?${text({ namespace: ns })}`, s);
export const listServices = (ns: string, s?: AbortSignal) => get<Service[]>(`${api}/services?${text({ namespace: ns })}`, s);
export const listObjects = (ns: string, s?: AbortSignal) => get<MeshObject[]>(`${api}/objects?${text({ namespace: ns })}`, s);
export const getObject = (kind: string, namespace: string, name: string, s?: AbortSignal) =>
  get<{ yaml: string; issues: Issue[] }>(`${api}/object?${text({ kind, namespace, name })}`, s);
export const getMesh = (s?: AbortSignal) => get<Mesh>(`${api}/mesh`, s);
export const getLogs = (namespace: string, pod: string, container: string, lines: number, s?: AbortSignal) =>
  get<string>(`${api}/logs?${text({ namespace, pod, container, lines })}`, s);

// ---- the graph, in Kiali's words
export interface Rates { protocol: string; rates: Record<string, string>; responses?: Record<string, { flags: Record<string, string>; hosts: Record<string, string> }> }
export interface GraphNode {
  id: string; nodeType: "app" | "workload" | "service" | "unknown"; namespace: string; app?: string; version?: string; workload?: string;
  service?: string; traffic: Rates[]; isRoot?: boolean; isOutside?: boolean; destServices?: { namespace: string; name: string }[];
}
export interface GraphEdge {
  id: string; source: string; target: string; traffic: Rates; responseTime?: string; isMTLS?: string;
  quantiles?: { p50?: number; p95?: number; p99?: number };
}
export interface GraphData { timestamp: number; elements: { nodes: { data: GraphNode }[]; edges: { data: GraphEdge }[] } }
export const getGraph = (q: { namespaces: string; duration: string; graphType: string; injectServiceNodes: string }, s?: AbortSignal) =>
  get<GraphData>(`${api}/namespaces/graph?${text(q)}`, s);

// ---- Prometheus
export interface Series { metric: Record<string, string>; values: [number, string][] }
export interface Instant { metric: Record<string, string>; value: [number, string] }
export async function query(expression: string, signal?: AbortSignal): Promise<Instant[]> {
  const body = await get<{ data: { result: Instant[] } }>(`${prometheus}/query?${text({ query: expression })}`, signal);
  return body.data.result;
}
export async function queryRange(expression: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Series[]> {
  const q = text({ query: expression, start, end, step });
  const body = await get<{ data: { result: Series[] } }>(`${prometheus}/query_range?${q}`, signal);
  return body.data.result;
}
export async function labelValues(label: string, match?: string, signal?: AbortSignal): Promise<string[]> {
  const body = await get<{ data: string[] }>(`${prometheus}/label/${label}/values?${text({ "match[]": match })}`, signal);
  return body.data;
}

// ---- traces, in Jaeger's words
export interface JaegerTag { key: string; type: string; value: string | number | boolean }
export interface JaegerSpan {
  traceID: string; spanID: string; operationName: string; startTime: number; duration: number; processID: string; tags: JaegerTag[];
  references: { refType: string; traceID: string; spanID: string }[]; logs: { timestamp: number; fields: JaegerTag[] }[];
}
export interface JaegerTrace { traceID: string; spans: JaegerSpan[]; processes: Record<string, { serviceName: string; tags: JaegerTag[] }> }
type Answer<T> = { data: T };
export const traceServices = async (s?: AbortSignal) => (await get<Answer<string[]>>(`${jaeger}/services`, s)).data ?? [];
export const traceOperations = async (service: string, s?: AbortSignal) =>
  (await get<Answer<{ name: string }[]>>(`${jaeger}/operations?${text({ service })}`, s)).data ?? [];
export const findTraces = async (q: Record<string, string | number | undefined>, s?: AbortSignal) =>
  (await get<Answer<JaegerTrace[]>>(`${jaeger}/traces?${text(q)}`, s)).data ?? [];
export const getTrace = async (id: string, s?: AbortSignal) => (await get<Answer<JaegerTrace[]>>(`${jaeger}/traces/${id}`, s)).data[0];
export const traceDependencies = async (endTs: number, lookback: number, s?: AbortSignal) =>
  (await get<Answer<{ parent: string; child: string; callCount: number }[]>>(`${jaeger}/dependencies?${text({ endTs, lookback })}`, s)).data ?? [];

// ---- dashboards, in Grafana's words
export interface Panel {
  id: number; title: string; type: string; description?: string; gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat?: string; refId?: string; instant?: boolean }[];
  fieldConfig?: { defaults?: { unit?: string; min?: number; max?: number }; overrides?: { matcher: { options: string }; properties: { id: string; value: string }[] }[] };
  transformations?: { id: string; options?: unknown }[];
  panels?: Panel[]; collapsed?: boolean; yaxes?: { format?: string }[]; format?: string;
}
export interface Variable { name: string; label?: string; type: string; query?: string | { query: string }; regex?: string; multi?: boolean; includeAll?: boolean; hide?: number; options?: { value: string }[] }
export interface Dashboard { uid: string; title: string; description?: string; panels: Panel[]; templating?: { list: Variable[] } }
export const listDashboards = (s?: AbortSignal) => get<{ uid: string; title: string; tags: string[] }[]>(`${api}/search`, s);
export const getDashboard = async (uid: string, s?: AbortSignal) => (await get<{ dashboard: Dashboard }>(`${api}/dashboards/uid/${uid}`, s)).dashboard;
