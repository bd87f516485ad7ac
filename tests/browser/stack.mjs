// Starts programs for a test and ends them with it: ours from the build folder, Debian's Prometheus, Chromium.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));
const build = process.env.LATEEN_BUILD_DIR ?? join(root, "build");
export const bookinfo = join(build, "bin/bookinfo");
// "PROGRAM ARGUMENTS…" that starts the console; its role follows.
export const consoleCommand = (process.env.LATEEN_CONSOLE ?? `${join(build, "bin/lateen")} console`).split(" ");
export const chromiumPath = process.env.CHROMIUM ?? "/usr/bin/chromium";

// What is missing on this machine, as a reason to skip; undefined when all is there.
export function missing(...programs) {
  const absent = programs.filter((p) => !existsSync(p));
  return absent.length ? `missing: ${absent.join(", ")}` : false;
}

export class Stack {
  children = [];
  servers = [];
  folder = mkdtempSync(join(tmpdir(), "lateen-browser-"));

  async port() {
    const server = createTcp();
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address();
    await new Promise((done) => server.close(done));
    return port;
  }

  start(program, args, env = {}) {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const log = [];
    for (const out of [child.stdout, child.stderr]) out.on("data", (d) => { log.push(String(d)); if (log.length > 200) log.shift(); });
    child.log = log;
    this.children.push(child);
    return child;
  }

  async serve(handler) {
    const server = createServer(handler);
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    this.servers.push(server);
    return `http://127.0.0.1:${server.address().port}`;
  }

  file(name, text) {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  async browser() {
    this.chromium ??= await chromium.launch({ executablePath: chromiumPath, args: ["--no-sandbox"] });
    return this.chromium;
  }

  async end() {
    await this.chromium?.close();
    for (const child of this.children) child.kill("SIGTERM");
    await Promise.all(this.children.map((c) => c.exitCode !== null || new Promise((done) => { c.once("exit", done); setTimeout(() => { c.kill("SIGKILL"); done(); }, 5000).unref(); })));
    for (const server of this.servers) server.closeAllConnections?.(), server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// Asks until `check` is true of the answer; fails with the last answer after `limit` milliseconds.
export async function eventually(ask, check, what, limit = 20000) {
  const until = Date.now() + limit;
  let last;
  while (Date.now() < until) {
    try {
      last = await ask();
      if (check(last)) return last;
    } catch (error) {
      last = error;
    }
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error(`${what}: last seen ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}
