import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { reservePorts } from "../../../reserved-ports.ts";
import type { Engine, EngineFolders, Row } from "./engine.ts";
import { killRounds } from "./kill-rounds.ts";
import { until, whyMissing } from "./processes.ts";
import { writeRows } from "./row-writer.ts";

interface RunningInfluxd {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  readonly address: string;
}

/** The cache becomes a file after so few bytes and so little time, so that a test of seconds sees snapshots and compactions. */
const settingsOf = (data: string, port: number, rpcPort: number): string => `
reporting-disabled = true
bind-address = "127.0.0.1:${rpcPort}"
[meta]
  dir = "${data}/meta"
[data]
  dir = "${data}/data"
  wal-dir = "${data}/wal"
  query-log-enabled = false
  cache-snapshot-memory-size = 65536
  cache-snapshot-write-cold-duration = "100ms"
  compact-full-write-cold-duration = "1s"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:${port}"
  log-enabled = false
[logging]
  level = "error"
`;

async function startInfluxd({ data, scratch }: EngineFolders): Promise<RunningInfluxd> {
  const [port = 0, rpcPort = 0] = await reservePorts(2);
  const settings = join(scratch, "influxdb.conf");
  writeFileSync(settings, settingsOf(data, port, rpcPort));
  const child = spawn("influxd", ["-config", settings], { stdio: "ignore" });
  const ended = once(child, "close").then(() => {});
  const address = `http://127.0.0.1:${port}`;
  await until(async () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("influxd ended");
    try {
      return (await fetch(`${address}/ping`)).status === 204;
    } catch {
      return false;
    }
  }, "influxd answers");
  return { child, ended, address };
}

async function query(address: string, text: string): Promise<unknown[][]> {
  const response = await fetch(`${address}/query?db=rows&epoch=ns`, {
    method: "POST",
    body: new URLSearchParams({ q: text }),
  });
  const answer = (await response.json()) as {
    results?: { error?: string; series?: { values: unknown[][] }[] }[];
    error?: string;
  };
  const problem = answer.error ?? answer.results?.[0]?.error;
  if (problem !== undefined) throw new Error(`${text}: ${problem}`);
  return answer.results?.[0]?.series?.[0]?.values ?? [];
}

const influxdb: Engine = {
  name: "InfluxDB",
  whyMissing: whyMissing("influxd"),

  async prepare(folders) {
    const { child, ended, address } = await startInfluxd(folders);
    await query(address, "CREATE DATABASE rows");
    child.kill("SIGTERM");
    await ended;
  },

  async write(folders, first) {
    const running = await startInfluxd(folders);
    return writeRows(running, first, async (row, value) => {
      const body = `rows value="${value.toString("base64")}" ${row}`;
      const { status } = await fetch(`${running.address}/write?db=rows`, { method: "POST", body });
      if (status !== 204) throw new Error(`influxd answered ${status}`);
    });
  },

  async read(folders) {
    const { child, ended, address } = await startInfluxd(folders);
    const rows = (await query(address, "SELECT value FROM rows")).map(
      ([time, value]): Row => [Number(time), Buffer.from(String(value), "base64")],
    );
    const [count] = await query(address, "SELECT count(value) FROM rows");
    assert.equal(Number(count?.[1] ?? 0), rows.length);
    child.kill("SIGTERM");
    await ended;
    return rows;
  },
};

for (const victim of ["server", "engine"] as const)
  killRounds(victim, influxdb, { suite: "sm", parameters: { blockSize: "16384", integrity: "tree" } });
