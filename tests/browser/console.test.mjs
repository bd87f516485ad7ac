// The console in Chromium over the real Prometheus and the real trace store: what is on the screen must be what
// was sent.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromiumPath, consoleCommand, eventually, missing, Stack } from "./stack.mjs";

const prometheusPath = "/usr/bin/prometheus";
const stack = new Stack();
const skip = missing(consoleCommand[0], chromiumPath, prometheusPath);
const scrapeSeconds = 1;

// Calls per second and the share of them that fails, per edge.
const edges = [
  { from: "istio-ingressgateway", to: "productpage", version: "v1", rate: 12, bad: 0 },
  { from: "productpage", to: "reviews", version: "v1", rate: 6, bad: 0 },
  { from: "productpage", to: "reviews", version: "v3", rate: 6, bad: 0.5 },
];
const began = Date.now();

function metrics() {
  const seconds = (Date.now() - began) / 1000;
  const lines = [];
  for (const e of edges) {
    const source = e.from === "istio-ingressgateway" ? { ns: "istio-system", workload: e.from, version: "latest" } : { ns: "default", workload: `${e.from}-v1`, version: "v1" };
    for (const [code, share] of [["200", 1 - e.bad], ["503", e.bad]]) {
      if (!share) continue;
      for (const reporter of ["source", "destination"]) {
        const labels = Object.entries({ reporter, source_workload: source.workload, source_workload_namespace: source.ns, source_canonical_service: e.from, source_canonical_revision: source.version, destination_workload: `${e.to}-${e.version}`,
          destination_workload_namespace: "default", destination_canonical_service: e.to, destination_canonical_revision: e.version, destination_service: `${e.to}.default.svc.cluster.local`, destination_service_name: e.to, destination_service_namespace: "default",
          request_protocol: "http", response_code: code, response_flags: "-", connection_security_policy: reporter === "destination" ? "mutual_tls" : "unknown" }).map(([k, v]) => `${k}="${v}"`).join(",");
        const count = e.rate * share * seconds;
        lines.push(`istio_requests_total{${labels}} ${count}`);
        for (const le of ["10", "25", "+Inf"]) lines.push(`istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${le === "10" ? 0 : count}`);
      }
    }
  }
  return lines.join("\n") + "\n";
}

const id = (n, digits) => n.toString(16).padStart(digits, "0");
function traces(count, failing) {
  const spans = [];
  for (let i = 1; i <= count; ++i) {
    const at = (Date.now() - 1000 * i) * 1000;
    const code = i <= failing ? "503" : "200";
    const span = (n, parent, kind, service) => ({ traceId: id(i, 32), id: id(i * 16 + n, 16), ...(parent === undefined ? {} : { parentId: id(i * 16 + parent, 16) }), kind, name: "reviews.default.svc.cluster.local:9080/*", timestamp: at + n * 1000, duration: 20000 - n * 2000,
      localEndpoint: { serviceName: service, ipv4: "10.0.0.1" }, tags: { "http.status_code": code } });
    spans.push(span(1, undefined, "CLIENT", "productpage.default"), span(2, 1, "SERVER", "reviews.default"));
  }
  return spans;
}

let kiali, jaeger, grafana, page;
const problems = [];

before(async () => {
  if (skip) return;
  const exporter = await stack.serve((_, response) => response.end(metrics()));
  const [prom, kialiPort, kialiMetrics, query, zipkin, grafanaPort] = await Promise.all(Array.from({ length: 6 }, () => stack.port()));
  const config = stack.file("prometheus.yml", JSON.stringify({ global: { scrape_interval: `${scrapeSeconds}s`, scrape_timeout: "1s" }, scrape_configs: [{ job_name: "mesh", honor_labels: true, static_configs: [{ targets: [exporter.slice(7)] }] }] }));
  stack.start(prometheusPath, [`--config.file=${config}`, `--storage.tsdb.path=${stack.folder}/tsdb`, `--web.listen-address=127.0.0.1:${prom}`]);
  const own = { LATEEN_DATA_DIR: stack.folder, QUERY_HTTP_SERVER_HOST_PORT: `:${query}`, COLLECTOR_ZIPKIN_HOST_PORT: `:${zipkin}`, GF_SERVER_HTTP_PORT: String(grafanaPort) };
  for (const name of ["COLLECTOR_OTLP_HTTP_HOST_PORT", "COLLECTOR_OTLP_GRPC_HOST_PORT", "COLLECTOR_GRPC_SERVER_HOST_PORT", "COLLECTOR_HTTP_SERVER_HOST_PORT", "ADMIN_HTTP_HOST_PORT"]) own[name] = `:${await stack.port()}`;
  const settings = stack.file("kiali.yaml", JSON.stringify({ server: { port: kialiPort, metrics_port: kialiMetrics, web_root: "/kiali" }, external_services: { prometheus: { url: `http://127.0.0.1:${prom}` }, tracing: { in_cluster_url: `http://127.0.0.1:${query}/jaeger` } } }));
  const [program, ...args] = consoleCommand;
  stack.start(program, [...args, "jaeger"], own);
  stack.start(program, [...args, "kiali", "-config", settings], { ...own, KUBECONFIG: "/nonexistent" });
  stack.start(program, [...args, "grafana", `--prometheus=http://127.0.0.1:${prom}`], own);
  kiali = `http://127.0.0.1:${kialiPort}/kiali`;
  jaeger = `http://127.0.0.1:${query}`;
  grafana = `http://127.0.0.1:${grafanaPort}`;
  await eventually(() => fetch(`${kiali}/healthz`), (r) => r.ok, "the console answers");
  await eventually(() => fetch(`http://127.0.0.1:${zipkin}/api/v2/spans`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(traces(10, 3)) }), (r) => r.status === 202, "spans are taken");
  page = await (await stack.browser()).newPage({ viewport: { width: 1400, height: 850 }, bypassCSP: true });
  page.on("pageerror", (e) => problems.push(e.message));
  await eventually(() => fetch(`${kiali}/api/namespaces/graph?duration=30s`).then((r) => r.json()), (g) => g.elements?.edges?.length === 3 && Number(g.elements.nodes.find((n) => n.data.app === "productpage").data.traffic[0].rates.httpIn) > 11.7, "the graph has the calls", 60000);
}, { timeout: 120000 });
after(() => stack.end());

// Prometheus extrapolates rates at a window's edges.
const near = (seen, sent, what) => assert.ok(Math.abs(seen - sent) <= sent * 0.08 + 0.05, `${what}: ${seen} on the screen, ${sent} sent`);

test("the graph shows the rates that were sent", { skip }, async () => {
  await page.goto(`${kiali}/#/graph?since=30s`);
  await page.waitForSelector(".visually-hidden table tr:nth-child(3)", { state: "attached" });
  const rows = await page.locator(".visually-hidden tr").evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent).join(" | ")));
  assert.equal(rows.length, 3);
  for (const e of edges) {
    const row = rows.find((r) => r.includes(e.from) && r.includes(`${e.to} ${e.version}`));
    assert.ok(row, `${e.from} -> ${e.to} ${e.version} among ${rows.join("; ")}`);
    const [, rate, errors] = /\| ([\d.]+) requests per second \| ([\d.]+) errors/.exec(row);
    near(Number(rate), e.rate, row);
    near(Number(errors), e.rate * e.bad, row);
  }
});

test("picking an edge by keyboard shows it and stays in the address", { skip }, async () => {
  await page.goto(`${kiali}/#/graph?since=30s&selected=`);
  await page.locator("canvas").focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => document.querySelector(".side h2")?.textContent?.includes("productpage"));
  assert.match(page.url(), /selected=[0-9a-f]{16}/);
  await page.reload();
  await page.waitForFunction(() => document.querySelector(".side h2")?.textContent?.includes("productpage"));
});

test("traces: as many as sent, failed ones apart, one with its spans", { skip }, async () => {
  for (const base of [`${kiali}/#/traces?since=1h&service=reviews.default`, `${jaeger}/jaeger/#/traces?since=1h&service=reviews.default`]) {
    await page.goto("about:blank");
    await page.goto(base);
    await page.waitForSelector(".trace-item");
    assert.equal(await page.locator(".trace-item").count(), 10);
    await page.getByRole("button", { name: "Errors only" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".trace-item").length === 3);
    await page.locator(".trace-item").first().click();
    await page.waitForSelector(".waterfall .span:nth-child(2)");
    assert.equal(await page.locator(".waterfall .span").count(), 2);
    await page.locator(".waterfall .span").nth(1).click();
    assert.match(await page.locator(".waterfall .detail").innerText(), /http\.status_code\s+503/);
  }
});

test("the mesh dashboard has real numbers", { skip }, async () => {
  await page.goto(`${grafana}/d/G8wLrJIZk/istio-mesh-dashboard?since=30s`);
  await page.waitForFunction(() => {
    const stats = [...document.querySelectorAll(".stat")].map((one) => parseFloat(one.textContent));
    return stats.length > 3 && [0, 1, 3].every((i) => !Number.isNaN(stats[i]));
  });
  const stats = await page.locator(".stat").allTextContents();
  near(parseFloat(stats[0]), 24, "requests");
  near(parseFloat(stats[1]), 87.5, "success");
  near(parseFloat(stats[3]), 3, "5xx");
  await page.waitForSelector(".chart svg path");
});

test("a part without data says why and the rest lives", { skip }, async () => {
  await page.goto(`${kiali}/#/overview?since=30s`);
  await page.waitForSelector("[role=alert]");
  assert.match(await page.locator("[role=alert]").first().innerText(), /no kubeconfig|KUBECONFIG|kubeconfig/);
  await page.waitForFunction(() => document.querySelector("main")?.textContent?.includes("reviews-v3"));
});

test("two thousand nodes stay fluid", { skip }, async () => {
  const nodes = [], big = [];
  for (let i = 0; i < 2000; ++i) {
    nodes.push({ data: { id: `n${i}`, nodeType: "app", namespace: "big", app: `app-${i}`, version: "v1", workload: `app-${i}`, traffic: [{ protocol: "http", rates: { httpIn: "5.00" } }], isRoot: i === 0 } });
    if (i) big.push({ data: { id: `e${i}`, source: `n${Math.floor((i - 1) / 6)}`, target: `n${i}`, traffic: { protocol: "http", rates: { http: "5.00" } }, responseTime: "10" } });
  }
  const fresh = await (await stack.browser()).newPage({ viewport: { width: 1400, height: 850 }, bypassCSP: true });
  await fresh.route("**/api/namespaces/graph*", (route) => route.fulfill({ json: { timestamp: 1, elements: { nodes, edges: big } } }));
  await fresh.goto(`${kiali}/#/graph`);
  await fresh.waitForSelector(".visually-hidden tr:nth-child(1999)", { state: "attached" });
  const median = await fresh.evaluate(() => new Promise((done) => {
    const times = [];
    let last = performance.now();
    const step = (now) => {
      times.push(now - last);
      last = now;
      if (times.length < 40) requestAnimationFrame(step);
      else done(times.sort((a, b) => a - b)[20]);
    };
    requestAnimationFrame(step);
  }));
  console.log(`median frame with 2000 nodes: ${median.toFixed(1)} ms`);
  assert.ok(median < 100, `median frame ${median} ms`);
  await fresh.close();
});

test("no page threw an error", { skip }, () => assert.deepEqual(problems, []));
