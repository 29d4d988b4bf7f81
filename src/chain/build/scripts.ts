import { join } from "node:path";

/** The name of the program in a host's folder, whatever it is. */
export const programName = "fisco-bcos";

/** This package's own folder, where the reference node and the command line are. */
const packageFolder = join(import.meta.dirname, "../../..");

/**
 * The reference node under FISCO BCOS's name. `ps` shows `…/node0/../fisco-bcos -c config.ini`, as it does for FISCO BCOS: the
 * title is put in force before the first line of the program runs.
 */
export function referenceNodeLauncher(): string {
  return `#!/bin/bash
# Starts Strongroom's reference node. Called as fisco-bcos is: fisco-bcos -c config.ini
set -eu
root=${quoted(packageFolder)}
node=\${STRONGROOM_NODE:-$root/node_modules/.bin/node}
main=$root/src/chain/node/main.ts
[ -f "$root/dist/chain/node/main.js" ] && [ ! -d "$root/.git" ] && main=$root/dist/chain/node/main.js
if [ ! -x "$node" ]; then
  echo "fisco-bcos: error: no Node 26 at $node" >&2
  echo "fisco-bcos: hint: run $root/script/setup, or set STRONGROOM_NODE to a Node 26 binary" >&2
  exit 1
fi
exec -a "$0" "$node" --title="$0 $*" "$main" "$@"
`;
}

/** What start.sh and stop.sh share: this node's process, by the command line that the field's documents show. */
const nodeFunctions = `
unset CDPATH
folder=$(cd "$(dirname "$0")" && pwd)
cd "$folder"
here=$(pwd -P)
self=$(id -u)
name=$(basename "$folder")
program=$folder/../${programName}

# Processes whose command line begins with the program, as started from this folder: pid and user.
candidates() {
  ps -eww -o pid= -o uid= -o args= | PROGRAM="$program " awk '
    { pid = $1; uid = $2; sub(/^ *[0-9]+ +[0-9]+ /, ""); if (index($0, ENVIRON["PROGRAM"]) == 1) print pid, uid }'
}

# The pids of this node. Anyone can give a process that command line: it counts if it is of this user, or, for root, if it
# works in this folder as far as can be seen.
node_pids() {
  candidates | while read -r pid uid; do
    if [ "$self" = 0 ]; then
      works_in=$(readlink "/proc/$pid/cwd" 2>/dev/null)
      [ "\${works_in:-$here}" = "$here" ] && echo "$pid"
    elif [ "$uid" = "$self" ]; then
      echo "$pid"
    fi
  done
}

# Whoever is to be stopped: the launcher that watches over the node, if there is one.
pid_to_stop() {
  parent=$(ps -o ppid= -p "$1" | tr -d ' ') || return 0
  case $(ps -ww -o args= -p "\${parent:-0}") in
    *" node launch "*) echo "$parent" ;;
    *) echo "$1" ;;
  esac
}
`;

/** start.sh of a node. A node with a manifest is started by \`strongroom node launch\`: its keys come from the key manager. */
export function startScript(): string {
  return `#!/bin/bash
# Starts this node and waits until it listens.
set -u
${nodeFunctions}
strongroom=\${STRONGROOM:-${quoted(join(packageFolder, "bin/strongroom"))}}
patience_seconds=\${START_PATIENCE_SECONDS:-60}

# The listening sockets of a TCP port, by inode.
listeners() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port=":$(printf '%04X' "$1")" '
    $4 == "0A" && substr($2, length($2) - 4) == port { print $10 }'
}

owner_of() {
  for inode in $(listeners "$1"); do
    socket=$(find /proc/[0-9]*/fd -lname "socket:\\\\[$inode\\\\]" 2>/dev/null | head -n 1)
    pid=$(echo "$socket" | cut -d / -f 3)
    if [ -n "$pid" ]; then
      echo "pid $pid ($(tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | LC_ALL=C tr -c ' -~' '?' | sed 's/ *$//'))"
    else
      echo "a program of another user"
    fi
    return
  done
}

# The listen_port of a section of config.ini.
port_of() {
  awk -v section="[$1]" '
    { gsub(/[ \\t\\r]/, "") } /^\\[/ { inside = ($0 == section) }
    inside && /^listen_port=/ { sub(/^listen_port=/, ""); print; exit }' config.ini
}

pids=$(node_pids)
if [ -n "$pids" ]; then
  echo " $name is running, pid is" $pids
  exit 0
fi
p2p_port=$(port_of p2p)
rpc_port=$(port_of rpc)
for port in "$p2p_port" "$rpc_port"; do
  case $port in '' | *[!0-9]*) echo " $name cannot start: config.ini has no listen_port" >&2; exit 2 ;; esac
  owner=$(owner_of "$port")
  if [ -n "$owner" ]; then
    echo " $name cannot start: port $port is in use by $owner" >&2
    exit 1
  fi
done

umask 077
touch nohup.out
said=$(wc -c <nohup.out)
if [ -f node.toml ]; then
  nohup setsid "$strongroom" node launch "$folder" \${LAUNCH_OPTIONS:-} </dev/null >>nohup.out 2>&1 &
else
  nohup setsid "$program" -c config.ini </dev/null >>nohup.out 2>&1 &
fi
started=$!
for ((tenths = 0; tenths < patience_seconds * 10; tenths++)); do
  if [ -n "$(listeners "$p2p_port")" ] && [ -n "$(listeners "$rpc_port")" ] && [ -n "$(node_pids)" ]; then
    echo " $name start successfully"
    exit 0
  fi
  # setsid may fork: what counts is that something of this node still runs.
  if ! kill -0 "$started" 2>/dev/null && [ -z "$(node_pids)" ]; then
    break
  fi
  sleep 0.1
done
echo " $name did not start; the end of $folder/nohup.out:" >&2
tail -c +"$((said + 1))" nohup.out | tail -n 20 >&2
exit 1
`;
}

/** stop.sh of a node. */
export function stopScript(): string {
  return `#!/bin/bash
# Stops this node and waits until it is gone.
set -u
${nodeFunctions}
patience_seconds=\${STOP_PATIENCE_SECONDS:-30}

pids=$(node_pids)
if [ -z "$pids" ]; then
  others=$(candidates | tr '\\n' ';')
  if [ "$self" != 0 ] && [ -n "$others" ]; then
    echo " $name may be running as another user (pid and user: \${others%;}): run this as that user" >&2
    exit 1
  fi
  echo " $name isn't running."
  exit 0
fi
for pid in $pids; do
  kill "$(pid_to_stop "$pid")" 2>/dev/null
done
for ((tenths = 0; tenths < patience_seconds * 10; tenths++)); do
  if [ -z "$(node_pids)" ]; then
    echo " stop $name success."
    exit 0
  fi
  sleep 0.1
done
echo " $name still runs after $patience_seconds s, pid is" $(node_pids) >&2
exit 1
`;
}

/** start_all.sh of a host: every node beside it, all at once; what each says is shown in their order. */
export function startAllScript(): string {
  return allScript("start");
}

/** stop_all.sh of a host. */
export function stopAllScript(): string {
  return allScript("stop");
}

function allScript(verb: "start" | "stop"): string {
  return `#!/bin/bash
# ${verb === "start" ? "Starts" : "Stops"} every node of this host.
set -u
unset CDPATH
folder=$(cd "$(dirname "$0")" && pwd)
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT
nodes=()
pids=()
for script in $(cd "$folder" && ls -d node*/${verb}.sh | sort -V); do
  name=\${script%%/*}
  [ -f "$folder/$name/config.ini" ] || continue
  echo "try to ${verb} $name"
  bash "$folder/$script" >"$said/$name" 2>&1 &
  nodes+=("$name")
  pids+=($!)
done
failed=0
for i in "\${!nodes[@]}"; do
  wait "\${pids[$i]}" || failed=1
  cat "$said/\${nodes[$i]}"
done
exit $failed
`;
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
