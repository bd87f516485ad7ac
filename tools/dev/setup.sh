# shellcheck shell=bash
# installs the Debian packages that building and testing need
packages=$(sed -e 's/#.*//' tools/packages.txt)
missing=()
for package in $packages; do
  # A toolchain from elsewhere (nvm, a newer node) does as well as Debian's package.
  case $package in nodejs) command -v node >/dev/null && continue ;; npm) command -v npm >/dev/null && continue ;; esac
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
# Any kubectl will do; without one, Debian's (1.20). Tests use Debian's beside the machine's own.
command -v kubectl >/dev/null || missing_kubectl=1
kubectl_cache=${XDG_CACHE_HOME:-$HOME/.cache}/lateen/kubectl-debian
if [ ! -x "$kubectl_cache/usr/bin/kubectl" ]; then
  say "Fetching Debian's kubectl (kubernetes-client) into $kubectl_cache"
  mkdir -p "$kubectl_cache"
  (cd "$kubectl_cache" && apt-get download -qq kubernetes-client 2>/dev/null && dpkg -x kubernetes-client_*.deb . && rm -f kubernetes-client_*.deb) ||
    echo "./dev setup: Debian's kubernetes-client is not to be had; its tests will be skipped"
fi
if [ "${missing_kubectl:-0}" = 1 ]; then export PATH=$PATH:$kubectl_cache/usr/bin; fi
if [ -f web/package-lock.json ] && ! command -v npm >/dev/null; then
  echo "./dev setup: npm is missing although it was installed; is /usr/bin in PATH?" >&2
  exit 1
fi
