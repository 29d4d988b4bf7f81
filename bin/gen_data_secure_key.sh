#!/bin/sh
# FISCO BCOS's script: gen_data_secure_key.sh IP PORT DATAKEY. Runs under the pinned Node 26, as strongroom does.
set -eu
self=$(readlink -f -- "$0")
root=$(dirname -- "$(dirname -- "$self")")
node=${STRONGROOM_NODE:-$root/node_modules/.bin/node}
if [ ! -x "$node" ]; then
  echo "gen_data_secure_key: error: no Node 26 at $node" >&2
  echo "gen_data_secure_key: hint: run $root/script/setup, or set STRONGROOM_NODE to a Node 26 binary" >&2
  exit 1
fi
main=$root/src/cli/gen-data-secure-key.ts
[ -f "$root/dist/cli/gen-data-secure-key.js" ] && [ ! -d "$root/.git" ] && main=$root/dist/cli/gen-data-secure-key.js
NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$root/node_modules/.cache/strongroom} exec "$node" "$main" "$@"
