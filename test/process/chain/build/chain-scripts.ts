import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

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

/** Two ports with four free ones from each on, below those that the system gives out. */
export async function freePorts(): Promise<{ p2p: number; rpc: number }> {
  for (;;) {
    const start = 20_000 + Math.floor(Math.random() * 10_000);
    const wanted = Array.from({ length: 8 }, (_, index) => start + index);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return { p2p: start, rpc: start + 4 };
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
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
