// One end of the traffic in a peers world: servers that tell what reached them, and a caller. Driven by JSON lines on
// standard input, one answer a line: {id, op: "serve" | "call" | "seen", …}. Servers take HTTP/1, HTTP/2 and TLS by the
// first bytes, anything else is echoed as TCP. A request says in x-do how to answer it.
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import readline from "node:readline";
import tls from "node:tls";

const seen = new Map();  // x-call -> requests that reached a server
const attempts = new Map();  // x-call -> how many so far

// "status=503;times=2;delay=50;reset;header=x-a:b": how to answer; `times` limits it to the first attempts.
function wishes(text) {
  const out = {};
  for (const part of (text || "").split(";").filter(Boolean)) {
    const at = part.indexOf("=");
    out[at < 0 ? part : part.slice(0, at)] = at < 0 ? true : part.slice(at + 1);
  }
  return out;
}

function answer(request, response) {
  const call = String(request.headers["x-call"] || "");
  const attempt = (attempts.get(call) || 0) + 1;
  attempts.set(call, attempt);
  const socket = request.stream ? request.stream.session?.socket : request.socket;
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    const headers = {};
    for (const [name, value] of Object.entries(request.headers)) {
      headers[name] = Array.isArray(value) ? value.join(", ") : value;
    }
    const host = request.headers[":authority"] || request.headers.host || "";
    const told = {
      at: `${(socket?.localAddress || "").replace("::ffff:", "")}:${socket?.localPort}`, method: request.method, path: request.url,
      host, headers, protocol: request.httpVersion, attempt, bytes: body.length, sni: socket?.servername || "",
      tls: Boolean(socket?.encrypted), peer: socket?.getPeerCertificate ? socket.getPeerCertificate().subjectaltname || "" : "",
    };
    if (!seen.has(call)) seen.set(call, []);
    seen.get(call).push(told);
    let wish = wishes(request.headers["x-do"]);
    if (wish.times && attempt > Number(wish.times)) wish = {};
    if (wish.only && !told.at.startsWith(`${wish.only}:`)) wish = {};
    const finish = () => {
      if (wish.reset) return (request.stream ? request.stream.close(2) : socket.destroy());
      const out = { "content-type": "application/json", "x-at": told.at };
      if (wish.header) out[wish.header.split(":")[0]] = wish.header.slice(wish.header.indexOf(":") + 1);
      if ((request.headers["content-type"] || "").startsWith("application/grpc") && request.stream) {
        out["content-type"] = "application/grpc";
        response.writeHead(200, out);
        response.addTrailers({ "grpc-status": wish.grpc || "0" });
        const text = Buffer.from(JSON.stringify(told));
        const frame = Buffer.alloc(5);
        frame.writeUInt32BE(text.length, 1);
        return response.end(Buffer.concat([frame, text]));
      }
      response.writeHead(Number(wish.status || 200), out);
      response.end(request.method === "HEAD" ? undefined : JSON.stringify(told));
    };
    if (wish.delay) setTimeout(finish, Number(wish.delay));
    else finish();
  });
  request.on("error", () => {});
}

function serve(spec) {
  const plain = http.createServer(answer);
  plain.on("upgrade", (request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    socket.pipe(socket);
  });
  const second = http2.createServer(answer);
  let secure;
  if (spec.cert) {
    secure = http2.createSecureServer({
      cert: fs.readFileSync(spec.cert), key: fs.readFileSync(spec.key), ca: fs.readFileSync(spec.ca), allowHTTP1: true,
      requestCert: true, rejectUnauthorized: false,
    }, answer);
    secure.on("tlsClientError", () => {});
  }
  const take = (socket) => {
    socket.on("error", () => {});
    if (spec.greets.includes(socket.localPort)) socket.write(`hello from ${socket.localAddress.replace("::ffff:", "")}\n`);
    socket.once("readable", () => {
      const first = socket.read();
      if (first === null) return socket.destroy();
      socket.unshift(first);
      const text = first.toString("latin1", 0, 24);
      if (first[0] === 0x16 && secure) return secure.emit("connection", socket);
      if (text.startsWith("PRI * HTTP/2")) return second.emit("connection", socket);
      if (/^[A-Z]{3,8} /.test(text)) return plain.emit("connection", socket);
      socket.on("data", (data) => socket.write(`${socket.localAddress.replace("::ffff:", "")} ${data}`));
      socket.resume();
    });
  };
  const servers = spec.ports.map((port) => new Promise((resolve, reject) => {
    const server = net.createServer({ pauseOnConnect: false }, take);
    server.on("error", reject);
    server.listen(port, spec.host || "0.0.0.0", 1024, () => resolve(server));
  }));
  return Promise.all(servers).then(() => ({ ok: true }));
}

function connect(call) {
  const socket = net.connect({ host: call.address, port: call.port });
  socket.on("error", () => {});
  if (!call.tls) return socket;
  const options = { socket, servername: call.tls.sni, rejectUnauthorized: Boolean(call.tls.ca), ALPNProtocols: call.tls.alpn,
    checkServerIdentity: () => undefined, minVersion: call.tls.min || "TLSv1.2", maxVersion: call.tls.max || "TLSv1.3" };
  if (call.tls.ca) options.ca = fs.readFileSync(call.tls.ca);
  if (call.tls.cert) Object.assign(options, { cert: fs.readFileSync(call.tls.cert), key: fs.readFileSync(call.tls.key) });
  return tls.connect(options);
}

function certificate(socket) {
  if (!socket.getPeerCertificate) return "";
  const found = socket.getPeerCertificate();
  return `${found.subject?.CN || ""} ${found.subjectaltname || ""}`.trim();
}

// ALPN proves itself only once a byte or an end came: a refused client certificate shows after the handshake in TLS 1.3.
function call_http1(call, done) {
  const socket = connect(call);
  socket.on("error", (problem) => done({ error: problem.code || problem.message }));
  const request = http.request({ method: call.method, path: call.path, headers: call.headers, setHost: false,
    createConnection: () => socket });
  request.on("error", (problem) => done({ error: problem.code || problem.message }));
  request.on("upgrade", (response, upgraded, head) => {
    let text = head.toString();
    upgraded.on("data", (data) => {
      text += data;
      if (text.includes("ping")) { upgraded.destroy(); done({ status: response.statusCode, headers: response.headers, body: text }); }
    });
    upgraded.write("ping");
  });
  request.on("response", (response) => {
    const peer = certificate(socket);
    const chunks = [];
    response.on("data", (chunk) => chunks.push(chunk));
    response.on("error", (problem) => done({ error: problem.code || problem.message }));
    response.on("end", () => {
      socket.destroy();
      done({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString(), peer });
    });
  });
  request.end(call.body);
}

function call_http2(call, done) {
  const socket = connect(call);
  if (call.tls) {
    socket.on("error", (problem) => done({ error: problem.code || problem.message }));
    socket.once("secureConnect", () => converse_http2(call, socket, done));
  } else {
    converse_http2(call, socket, done);
  }
}

function converse_http2(call, socket, done) {
  const session = http2.connect(`http${call.tls ? "s" : ""}://peer`, { createConnection: () => socket });
  session.on("error", (problem) => done({ error: problem.code || problem.message }));
  const headers = { ":method": call.method, ":path": call.path, ":scheme": call.tls ? "https" : "http" };
  for (const [name, value] of Object.entries(call.headers)) headers[name.toLowerCase() === "host" ? ":authority" : name] = value;
  const stream = session.request(headers);
  const out = { headers: {} };
  const chunks = [];
  stream.on("response", (got) => { out.status = got[":status"]; out.headers = { ...out.headers, ...got }; });
  stream.on("trailers", (got) => { out.headers = { ...out.headers, ...got }; });
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("error", (problem) => done({ error: problem.code || problem.message }));
  stream.on("close", () => {
    session.destroy();
    let body = Buffer.concat(chunks);
    if (String(out.headers["content-type"]).startsWith("application/grpc")) body = body.subarray(5);
    done(out.status ? { ...out, body: body.toString(), peer: certificate(socket) } : { error: "closed" });
  });
  stream.end(call.body);
}

function call_tcp(call, done) {
  const socket = connect(call);
  let text = "";
  const end = () => done(text ? { status: 200, headers: {}, body: text } : { error: "closed" });
  if (call.body) socket.write(call.body);
  socket.on("data", (data) => { text += data; if (text.includes("\n")) { socket.destroy(); end(); } });
  socket.on("end", end);
  socket.on("close", end);
  socket.on("error", (problem) => done({ error: problem.code || problem.message }));
}

function call(spec) {
  const begin = process.hrtime.bigint();
  return new Promise((resolve) => {
    let is_done = false;
    const done = (result) => {
      if (is_done) return;
      is_done = true;
      clearTimeout(timer);
      resolve({ ...result, ms: Number(process.hrtime.bigint() - begin) / 1e6 });
    };
    const timer = setTimeout(() => done({ error: "ETIMEDOUT" }), spec.limit || 8000);
    const ways = { http1: call_http1, http2: call_http2, tcp: call_tcp };
    try { ways[spec.protocol](spec, done); } catch (problem) { done({ error: problem.message }); }
  });
}

async function perform(command) {
  if (command.op === "serve") return serve(command);
  if (command.op === "call") return call(command);
  if (command.op === "seen") return { seen: seen.get(command.call) || [] };
  if (command.op === "forget") { seen.clear(); attempts.clear(); return { ok: true }; }
  return { error: `unknown op ${command.op}` };
}

process.on("uncaughtException", (problem) => process.stderr.write(`peer: ${problem.stack}\n`));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const command = JSON.parse(line);
  perform(command).catch((problem) => ({ error: problem.message })).then((result) => {
    process.stdout.write(`${JSON.stringify({ ...result, id: command.id })}\n`);
  });
}).on("close", () => process.exit(0));
