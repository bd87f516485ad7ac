// grpc_peer.py's twin on @grpc/grpc-js (and @grpc/grpc-js-xds), found in $GRPC_JS/node_modules: same service, same cases.
// usage: node grpc_peer.mjs serve ADDRESS | call TARGET [CASE,…] | ask TARGET PATH COUNT
import { createRequire } from "node:module";

const require = createRequire(`${process.env.GRPC_JS}/package.json`);
const grpc = require("@grpc/grpc-js");
const SERVICE = "peers.Echo";
const ODD_TEXT = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
const LARGE = 3 * 1024 * 1024;
const WAIT = 60000;  // ms for any call that should come back
const same = (value) => value;
const shape = (name, requestStream, responseStream) => ({ path: `/${SERVICE}/${name}`, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
const METHODS = { Unary: [false, false], Fail: [false, false], Slow: [false, false], Cancelled: [false, false], Deadline: [false, false], Who: [false, false],
  Collect: [true, false], Stream: [false, true], Chat: [true, true] };
const definition = Object.fromEntries(Object.entries(METHODS).map(([name, [a, b]]) => [name, shape(name, a, b)]));

function serve(address) {
  let cancelled = 0;
  const bytes = (value) => Buffer.from(String(value));
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  server.addService(definition, {
    Who: (call, done) => done(null, bytes(process.env.PEER_NAME || address)),
    Unary: (call, done) => {
      const initial = call.metadata.get("x-echo-initial"), trailing = new grpc.Metadata();
      if (initial.length) { const out = new grpc.Metadata(); out.set("x-echo-initial", initial[0]); call.sendMetadata(out); }
      for (const value of call.metadata.get("x-echo-trailing-bin")) trailing.set("x-echo-trailing-bin", value);
      done(null, call.request, trailing);
    },
    Fail: (call, done) => {
      const asked = JSON.parse(call.request), metadata = new grpc.Metadata();
      metadata.set("grpc-status-details-bin", Buffer.from("0805120361626300ff", "hex"));
      metadata.set("x-reason", "asked for");
      done({ code: grpc.status[asked.code], details: asked.text, metadata });
    },
    Slow: (call) => { call.on("cancelled", () => { cancelled += 1; }); },
    Cancelled: (call, done) => done(null, bytes(cancelled)),
    Deadline: (call, done) => {
      const at = call.getDeadline(), left = (at instanceof Date ? at.getTime() : at) - Date.now();
      done(null, bytes(JSON.stringify(Number.isFinite(left) ? left / 1000 : null)));
    },
    Collect: (call, done) => { let sum = 0; call.on("data", (m) => { sum += m.length; }); call.on("end", () => done(null, bytes(sum))); },
    Stream: (call) => {
      const asked = JSON.parse(call.request), sizes = asked.sizes[Symbol.iterator]();
      const more = () => {
        for (let next = sizes.next(); !next.done && !call.cancelled; next = sizes.next()) {
          if (!call.write(Buffer.alloc(next.value, "x"))) return call.once("drain", more);
        }
        if (!asked.code) return call.end();
        const metadata = new grpc.Metadata();
        metadata.set("x-last", "yes");
        return call.emit("error", { code: grpc.status[asked.code], details: "at the end", metadata });
      };
      more();
    },
    Chat: (call) => { call.on("data", (m) => call.write(m)); call.on("end", () => call.end()); },
  });
  server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (problem) => {
    if (problem) { process.stderr.write(`${problem}\n`); process.exit(1); }
    process.stdout.write("ready\n");
  });
  process.stdin.on("end", () => process.exit(0)).resume();
}

function client_to(target) {
  const Client = grpc.makeGenericClientConstructor({ ...definition, Missing: shape("Missing", false, false) }, SERVICE);
  const options = { "grpc.max_receive_message_length": -1 };
  if (process.env.PEER_AUTHORITY) options["grpc.default_authority"] = process.env.PEER_AUTHORITY;
  if (target.startsWith("xds:")) {
    require("@grpc/grpc-js-xds").register();
    options["grpc.TEST_ONLY_DO_NOT_USE_IN_PROD.xds_bootstrap_config"] = process.env.GRPC_XDS_BOOTSTRAP_CONFIG;  // 1.14 reads it nowhere else
  }
  return new Client(target, grpc.credentials.createInsecure(), options);
}

const within = (ms) => ({ deadline: Date.now() + ms });
const metadata_of = (pairs) => { const out = new grpc.Metadata(); for (const [k, v] of pairs) out.set(k, v); return out; };
function unary(client, name, request, options = within(WAIT), metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const out = {};
    const call = client[name](Buffer.from(request), metadata, options, (problem, answer) => (problem ? reject(problem) : setImmediate(() => resolve({ ...out, answer }))));
    call.on("metadata", (m) => { out.initial = m; });
    call.on("status", (s) => { out.trailing = s.metadata; });
  });
}
function collect(call) {
  return new Promise((resolve, reject) => { const got = []; call.on("data", (m) => got.push(m)); call.on("error", (e) => reject(Object.assign(e, { got }))); call.on("end", () => resolve(got)); });
}
function check(got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`got ${JSON.stringify(got)?.slice(0, 200)}, want ${JSON.stringify(want).slice(0, 200)}`);
}
async function fails(code, promise) {
  const problem = await promise.then((got) => { throw new Error(`no error but ${String(got).slice(0, 100)}`); }, (e) => e);
  if (problem.code === undefined) throw problem;
  check(grpc.status[problem.code], code);
  return problem;
}

const CASES = {
  empty_unary: async (c) => check((await unary(c, "Unary", "")).answer.length, 0),
  large_unary: async (c) => check((await unary(c, "Unary", Buffer.alloc(LARGE, "a"))).answer.equals(Buffer.alloc(LARGE, "a")), true),
  client_streaming: async (c) => {
    const sizes = [27182, 8, 1828, 45904];
    check(await new Promise((resolve, reject) => {
      const call = c.Collect(new grpc.Metadata(), within(WAIT), (e, m) => (e ? reject(e) : resolve(String(m))));
      for (const size of sizes) call.write(Buffer.alloc(size));
      call.end();
    }), String(sizes.reduce((a, b) => a + b)));
  },
  server_streaming: async (c) => {
    const sizes = [31415, 9, 2653, 58979, 0];
    check((await collect(c.Stream(Buffer.from(JSON.stringify({ sizes })), new grpc.Metadata(), within(WAIT)))).map((m) => m.length), sizes);
  },
  large_server_streaming: async (c) => {
    const sizes = [LARGE, LARGE, LARGE, LARGE];
    check((await collect(c.Stream(Buffer.from(JSON.stringify({ sizes })), new grpc.Metadata(), within(WAIT)))).map((m) => m.length), sizes);
  },
  ping_pong: async (c) => {
    const got = [], call = c.Chat(new grpc.Metadata(), within(WAIT));
    await new Promise((resolve, reject) => {
      call.on("data", (m) => { got.push(Number(m)); if (got.length < 20) call.write(Buffer.from(String(got.length))); else call.end(); });
      call.on("error", reject);
      call.on("end", resolve);
      call.write(Buffer.from("0"));
    });
    check(got, [...Array(20).keys()]);
  },
  empty_stream: async (c) => { const call = c.Chat(new grpc.Metadata(), within(WAIT)); call.end(); check((await collect(call)).length, 0); },
  many_at_once: async (c) => {
    const all = [...Array(100).keys()].map(String);
    check((await Promise.all(all.map((n) => unary(c, "Unary", n)))).map((r) => String(r.answer)), all);
  },
  custom_metadata: async (c) => {
    const out = await unary(c, "Unary", "m", within(WAIT), metadata_of([["x-echo-initial", "test_initial"], ["x-echo-trailing-bin", Buffer.from("ababab00", "hex")]]));
    check([out.initial.get("x-echo-initial"), out.trailing.get("x-echo-trailing-bin").map((b) => b.toString("hex"))], [["test_initial"], ["ababab00"]]);
  },
  status_code_and_message: async (c) => check((await fails("FAILED_PRECONDITION", unary(c, "Fail", JSON.stringify({ code: "FAILED_PRECONDITION", text: "test status message" })))).details, "test status message"),
  special_status_message: async (c) => check((await fails("UNKNOWN", unary(c, "Fail", JSON.stringify({ code: "UNKNOWN", text: ODD_TEXT })))).details, ODD_TEXT),
  error_details: async (c) => {
    const problem = await fails("INVALID_ARGUMENT", unary(c, "Fail", JSON.stringify({ code: "INVALID_ARGUMENT", text: "x" })));
    check([problem.metadata.get("grpc-status-details-bin").map((b) => b.toString("hex")), problem.metadata.get("x-reason")], [["0805120361626300ff"], ["asked for"]]);
  },
  error_after_messages: async (c) => {
    const problem = await fails("DATA_LOSS", collect(c.Stream(Buffer.from(JSON.stringify({ sizes: [5, 6], code: "DATA_LOSS" })), new grpc.Metadata(), within(WAIT))));
    check([problem.got.map((m) => m.length), problem.metadata.get("x-last")], [[5, 6], ["yes"]]);
  },
  unimplemented_method: async (c) => fails("UNIMPLEMENTED", unary(c, "Missing", "")),
  deadline_exceeded: async (c) => fails("DEADLINE_EXCEEDED", unary(c, "Slow", "", within(500))),
  deadline_is_passed_on: async (c) => {
    const left = JSON.parse((await unary(c, "Deadline", "")).answer);
    check([left > 0 && left < WAIT / 1000 + 1, JSON.parse((await unary(c, "Deadline", "", {})).answer)], [true, null]);
  },
  cancel_after_begin: async (c) => {
    const count = async () => Number((await unary(c, "Cancelled", "")).answer), before = await count();
    await fails("CANCELLED", new Promise((resolve, reject) => { const call = c.Slow(Buffer.from(""), new grpc.Metadata(), within(WAIT), (e, m) => (e ? reject(e) : resolve(m))); setTimeout(() => call.cancel(), 200); }));
    for (const end = Date.now() + WAIT; await count() <= before;) { check(Date.now() < end, true); await new Promise((r) => setTimeout(r, 50)); }
  },
  cancel_after_first_response: async (c) => {
    const call = c.Stream(Buffer.from(JSON.stringify({ sizes: Array(100000).fill(10) })), new grpc.Metadata(), within(WAIT));
    call.once("data", () => call.cancel());
    await fails("CANCELLED", collect(call));
    check(String((await unary(c, "Unary", "after")).answer), "after");
  },
};

async function main([verb, target, ...rest]) {
  if (verb === "serve") return serve(target);
  const client = client_to(target);
  if (verb === "ask") {
    const out = [];
    for (let i = 0; i < Number(rest[1]); i += 1) {
      out.push(await unary(client, rest[0].split("/").pop(), "", within(20000)).then((r) => String(r.answer), (e) => { process.stderr.write(`${e.details}\n`); return grpc.status[e.code]; }));
    }
    process.stdout.write(`${JSON.stringify(out)}\n`, () => process.exit(0));
    return;
  }
  const out = {};
  for (const name of rest[0] ? rest[0].split(",") : Object.keys(CASES)) {
    out[name] = await CASES[name](client).then(() => "ok", (problem) => String(problem.message));
  }
  process.stdout.write(`${JSON.stringify(out)}\n`, () => process.exit(0));
}
main(process.argv.slice(2));
