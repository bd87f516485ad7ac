# shellcheck shell=bash
# builds the console's front end into web/dist, when its sources changed
stamp=web/dist/.built-from
sources=$(find web/src web/dashboards web/build.mjs web/package-lock.json -type f -print0 | sort -z |
  xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null)" != "$sources" ]; then
  command -v npm >/dev/null || { echo "web: npm is missing: run ./dev setup" >&2; return 1; }
  if [ ! -x web/node_modules/.bin/esbuild ]; then
    (cd web && npm ci --no-audit --no-fund --loglevel=error >/dev/null) ||
      { echo "web: npm could not fetch the front end's packages (above); is its registry within reach?" >&2; return 1; }
  fi
  (cd web && node build.mjs) || return 1
  echo "$sources" >"$stamp"
fi
