// The console in Chromium beside a whole mesh: Bookinfo is called through the gateway at a steady pace, and the
// screen must show the calls that were answered. browser_test.py makes the cluster and tells its addresses,
// and how many calls failed before.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { eventually, Stack } from "./stack.mjs";

const { MESH_GATEWAY: gateway, MESH_KIALI: kiali, MESH_JAEGER: jaeger, MESH_GRAFANA: grafana } = process.env;
const windowSeconds = 30, perSecond = 10;
const stack = new Stack();
const answers = [];   // What was answered: when (milliseconds), its status, the version of reviews on the page.
const problems = [];
let page, timer, began, sent = 0;
const skip = gateway ? false : "browser_test.py runs this";

// Two of ten calls ask for the product whose details a VirtualService aborts with 500; the others for the page.
async function call(n) {
  const isPage = n % 5 !== 0;
  const response = await fetch(`${gateway}${isPage ? "/productpage" : "/api/v1/products/7"}`);
  const text = await response.text();
  answers.push({ at: Date.now(), isPage, status: response.status, version: /reviews-(v\d)/.exec(text)?.[1] });
}

before(async () => {
  if (skip) return;
  page = await (await stack.browser()).newPage({ viewport: { width: 1400, height: 850 }, bypassCSP: true });
  page.on("pageerror", (e) => problems.push(e.message));
  began = Date.now();
  // Paced by the clock, so that a late timer does not lower the rate.
  timer = setInterval(() => {
    while (sent < (Date.now() - began) * perSecond / 1000) call(++sent).catch((e) => problems.push(String(e)));
  }, 20);
  await new Promise((done) => setTimeout(done, (windowSeconds + 15) * 1000));
}, { timeout: 120000 });
after(async () => { clearInterval(timer); await stack.end(); });

// Calls a second among the answers of the window that the screen shows (it ends with the last scrape, up to 5 s ago).
const sentRate = (which) => {
  const to = Date.now() - 3000, from = to - windowSeconds * 1000;
  return answers.filter((a) => a.at > from && a.at <= to && which(a)).length / windowSeconds;
};
// Prometheus extrapolates at the window's edges, and scrapes each proxy at another moment.
const isNear = (seen, sent) => Math.abs(seen - sent) <= sent * 0.12 + 0.15;

async function graphRows() {
  const rows = await page.locator(".visually-hidden tr").evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent).join(" | ")));
  return rows.map((text) => ({ text, numbers: /\| ([\d.]+) requests per second \| ([\d.]+) errors/.exec(text) })).filter((r) => r.numbers);
}

test("the load was answered as the configuration says", { skip }, () => {
  assert.ok(answers.length > 300, `${answers.length} answers`);
  for (const a of answers) assert.equal(a.status, a.isPage ? 200 : 500, JSON.stringify(a));
  assert.deepEqual([...new Set(answers.map((a) => a.version).filter(Boolean))].sort(), ["v1", "v2", "v3"]);
});

test("the graph shows the calls and errors that were sent, hop by hop", { skip }, async () => {
  await page.goto(`${kiali}/#/graph?namespaces=default,istio-system&since=${windowSeconds}s`);
  const edges = [
    { from: "istio-ingressgateway", to: "productpage v1", rate: () => sentRate(() => true), bad: () => sentRate((a) => !a.isPage) },
    { from: "productpage v1", to: "details v1", rate: () => sentRate((a) => a.isPage), bad: () => 0 },
    ...["v1", "v2", "v3"].map((v) => ({ from: "productpage v1", to: `reviews ${v}`, rate: () => sentRate((a) => a.version === v), bad: () => 0 })),
    ...["v2", "v3"].map((v) => ({ from: `reviews ${v}`, to: "ratings v1", rate: () => sentRate((a) => a.version === v), bad: () => 0 })),
  ];
  const wrong = (rows) => edges.map((e) => {
    const row = rows.find((r) => r.text.startsWith(e.from) && r.text.includes(e.to));
    if (!row) return `${e.from} -> ${e.to} is missing`;
    const [rate, errors] = [Number(row.numbers[1]), Number(row.numbers[2])];
    return isNear(rate, e.rate()) && isNear(errors, e.bad()) ? "" : `${row.text}; sent ${e.rate().toFixed(2)} and ${e.bad().toFixed(2)} errors`;
  }).filter(Boolean);
  await eventually(async () => { const rows = await graphRows(); return { wrong: wrong(rows), rows: rows.map((r) => r.text) }; }, (seen) => seen.wrong.length === 0, "the graph's table", 60000);
});

test("the mesh dashboard counts the same calls", { skip }, async () => {
  await page.goto(`${grafana}/d/G8wLrJIZk/istio-mesh-dashboard?since=${windowSeconds}s`);
  // Each call is counted where it arrives: at productpage; details and reviews for a page; ratings for stars.
  const calls = () => sentRate(() => true) + 2 * sentRate((a) => a.isPage) + sentRate((a) => a.version === "v2" || a.version === "v3");
  const bad = () => sentRate((a) => !a.isPage);
  const stats = async () => (await page.locator(".stat").allTextContents()).map((text) => ({ text, value: parseFloat(text) }));
  await eventually(stats, (s) => s.length > 3 && isNear(s[0].value, calls()) && Math.abs(s[1].value - 100 * (1 - bad() / calls())) < 1.5 && isNear(s[3].value, bad()),
    `requests ${calls().toFixed(1)} a second, 5xx ${bad().toFixed(1)}`, 60000);
});

test("traces: one per failed call, with the hop that failed", { skip }, async () => {
  clearInterval(timer);
  await eventually(() => answers.length, (n) => n === sent, `${sent} answers`);
  const failed = () => Number(process.env.MESH_FAILED_BEFORE ?? 0) + answers.filter((a) => a.status === 500).length;
  await page.goto(`${jaeger}/jaeger/#/traces?since=1h&service=istio-ingressgateway.istio-system&tags=http.status_code%3D500&limit=500`);
  await eventually(() => page.locator(".trace-item").count(), (n) => n === failed(), `${failed()} traces with 500`, 60000);
  await page.locator(".trace-item").first().click();
  await page.waitForSelector(".waterfall .span:nth-child(3)");
  const waterfall = await page.locator(".waterfall").innerText();
  assert.match(waterfall, /istio-ingressgateway/);
  assert.match(waterfall, /productpage/);
  assert.match(waterfall, /details/);
});

test("no page threw an error", { skip }, () => assert.deepEqual(problems, []));
