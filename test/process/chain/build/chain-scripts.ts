import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { reservePorts } from "../../../reserved-ports.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script or program of a chain to its end. */
export function run(
  file: string,
  args: readonly string[],
  cwd: string,
  more: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const environment = { ...process.env, STAND_IN_NODE: process.execPath, START_PATIENCE_SECONDS: "60", ...more };
  return new Promise((resolve) =>
    execFile(file, args, { cwd, encoding: "utf8", timeout: 120_000, env: environment }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 255), stdout, stderr }),
    ),
  );
}

/** Two ports with four of a chain's own from each on. */
export async function freePorts(): Promise<{ p2p: number; rpc: number }> {
  const [p2p = 0] = await reservePorts(8);
  return { p2p, rpc: p2p + 4 };
}

/** Waits for the heartbeat line that counts `peers` links. */
export async function connected(log: string, peers: number): Promise<void> {
  const wanted = `[METRIC]heartBeat,connected count=${peers}`;
  for (const until = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const lines = readdirSync(log).map((name) => readFileSync(join(log, name), "utf8"));
    if (lines.some((text) => text.includes(wanted))) return;
    assert.ok(Date.now() < until, `no "${wanted}" in ${lines.join("")}`);
  }
}
