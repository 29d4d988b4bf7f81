#!/bin/bash
# Stands in for fisco-bcos: listens on the two ports of config.ini until it is told to stop.
exec -a "$0" "$STAND_IN_NODE" --title="$0 $*" --input-type=module -e '
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
for (const [, port] of readFileSync("config.ini", "utf8").matchAll(/listen_port=(\d+)/g))
  createServer((socket) => socket.destroy()).listen(Number(port), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
' -- "$@"
