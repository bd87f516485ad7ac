# shellcheck shell=bash
# measures: `./dev bench start`, … (without a name: all); figures are printed, nothing is asserted
configure
ninja -C "$LATEEN_BUILD_DIR" >/dev/null
if [ $# -gt 0 ]; then
  exec python3 "bench/$1.py" "${@:2}"
fi
for script in bench/*.py; do
  say "$script"
  python3 "$script"
done
