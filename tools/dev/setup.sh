# shellcheck shell=bash
# installs the Debian packages that building and testing need
packages=$(sed -e 's/#.*//' tools/packages.txt)
missing=()
for package in $packages; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  say "Installing from Debian: ${missing[*]}"
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "./dev setup: needs root (or sudo) to install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ -f web/package-lock.json ] && ! command -v npm >/dev/null; then
  echo "./dev setup: npm is missing although it was installed; is /usr/bin in PATH?" >&2
  exit 1
fi
