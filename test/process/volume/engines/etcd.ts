import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { reservePorts } from "../../../reserved-ports.ts";
import type { Engine, EngineFolders, Row } from "./engine.ts";
import { gather, until, whyMissing } from "./processes.ts";
import { writeRows } from "./row-writer.ts";

/** Its interface of JSON over HTTP, in which keys and values are base64. */
interface RunningEtcd {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  call(path: string, request: object): Promise<unknown>;
}

const keyOf = (row: number): string => Buffer.from(String(row).padStart(10, "0")).toString("base64");

async function startEtcd({ data }: EngineFolders): Promise<RunningEtcd> {
  const [client, peer] = (await reservePorts(2)).map((port) => `http://127.0.0.1:${port}`);
  const settings = {
    "data-dir": join(data, "etcd"),
    "listen-client-urls": client,
    "advertise-client-urls": client,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    "heartbeat-interval": "20",
    "election-timeout": "200",
    // Snapshots of a log of so few entries, so that a test sees them.
    "snapshot-count": "100",
  };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  const child = spawn("etcd", args, { stdio: ["ignore", "pipe", "pipe"] });
  const messages = gather(child.stderr);
  const ended = once(child, "close").then(() => {});
  const call = async (path: string, request: object): Promise<unknown> => {
    const response = await fetch(`${client}${path}`, { method: "POST", body: JSON.stringify(request) });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  };
  await until(async () => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`etcd ended: ${messages()}`);
    try {
      await call("/v3/kv/range", { key: keyOf(0) });
      return true;
    } catch {
      return false;
    }
  }, "etcd answers");
  return { child, ended, call };
}

export const etcd: Engine = {
  name: "etcd",
  whyMissing: whyMissing("etcd"),

  async write(folders, first) {
    const running = await startEtcd(folders);
    return writeRows(running, first, (row, value) =>
      running.call("/v3/kv/put", { key: keyOf(row), value: value.toString("base64") }),
    );
  },

  async read(folders) {
    const { child, ended, call } = await startEtcd(folders);
    const all = { key: keyOf(0), range_end: Buffer.from("~").toString("base64"), limit: "1000000" };
    const found = (await call("/v3/kv/range", all)) as {
      header: { revision: string };
      kvs?: { key: string; value: string; mod_revision: string; version: string }[];
    };
    const rows = (found.kvs ?? []).map(({ key, value, mod_revision, version }, index): Row => {
      // Each row was put once, and each put is the store's next revision.
      assert.deepEqual([mod_revision, version], [String(index + 2), "1"]);
      return [Number(Buffer.from(key, "base64").toString()), Buffer.from(value, "base64")];
    });
    assert.equal(Number(found.header.revision), rows.length + 1);
    assert.equal(JSON.stringify(await call("/v3/maintenance/alarm", { action: "GET" })).includes("CORRUPT"), false);
    child.kill("SIGTERM");
    await ended;
    return rows;
  },
};
