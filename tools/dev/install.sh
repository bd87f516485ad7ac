# shellcheck shell=bash
# copies the built programs to PREFIX/bin (default: /usr/local as root, else ~/.local)
prefix=${1:-$([ "$(id -u)" = 0 ] && echo /usr/local || echo "$HOME/.local")}
configure
ninja -C "$LATEEN_BUILD_DIR" programs
install -d "$prefix/bin"
for program in lateen lateen-proxy bookinfo; do install -m 755 "$LATEEN_BUILD_DIR/bin/$program" "$prefix/bin/$program"; done
ln -sf lateen "$prefix/bin/istioctl"
say "Installed lateen, istioctl, lateen-proxy and bookinfo in $prefix/bin"
