// Bundles the console's front end into dist/: one script, one stylesheet, the page, the dashboards, and a gzip
// variant of each. `--watch` rebuilds on change.
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const out = new URL("./dist/", import.meta.url).pathname;
const here = new URL("./", import.meta.url).pathname;
mkdirSync(out, { recursive: true });
for (const name of readdirSync(out)) rmSync(out + name);

await build({
  entryPoints: { app: here + "src/main.ts", style: here + "src/style.css" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
});
writeFileSync(out + "index.html", readFileSync(here + "src/index.html"));
for (const name of readdirSync(here + "dashboards")) {
  // Parsed on the way, so that a broken file fails the build and blanks cost nothing.
  const text = JSON.stringify(JSON.parse(readFileSync(here + "dashboards/" + name, "utf8")));
  writeFileSync(`${out}dashboard-${name}`, text);
}
let total = 0;
for (const name of readdirSync(out)) {
  if (name === "index.html" || name.startsWith("dashboard-")) continue;
  const packed = gzipSync(readFileSync(out + name), { level: 9 });
  total += packed.length;
  writeFileSync(`${out}${name}.gz`, packed);
}
const limit = 500 * 1024;
console.log(`web: ${(total / 1024).toFixed(1)} KB compressed`);
if (total > limit) throw new Error("the front end is over its limit of 500 KB");
