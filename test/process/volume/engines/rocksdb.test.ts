import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Engine, Row } from "./engine.ts";
import { killRounds } from "./kill-rounds.ts";
import { followNumbers, run, whyMissing } from "./processes.ts";
import { rocksdbLibrary } from "./rocksdb-library.ts";

const program = join(import.meta.dirname, "rocksdb-program.ts");

const rocksdb: Engine = {
  name: "RocksDB",
  whyMissing: rocksdbLibrary === undefined ? "this machine has no librocksdb" : whyMissing("sst_dump", "ldb"),

  async write({ data }, first) {
    const child = spawn(process.execPath, [program, "write", data, String(first)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    const ended = once(child, "close").then(() => {});
    return { safe: followNumbers(child), kill: () => child.kill("SIGKILL"), ended };
  },

  async read({ data }) {
    const printed = await run(process.execPath, [program, "read", data]);
    const rows = printed.split("\n").slice(0, -1);
    await run("ldb", [`--db=${data}`, "checkconsistency"]);
    const dumped = await run("sst_dump", [`--file=${data}`, "--command=verify"]);
    assert.doesNotMatch(dumped, /corrupt/i);
    return rows.map((row): Row => {
      const [number, value = ""] = row.split(" ");
      return [Number(number), Buffer.from(value, "base64")];
    });
  },
};

for (const victim of ["server", "engine"] as const)
  killRounds(victim, rocksdb, { suite: "sm", parameters: { blockSize: "4096", integrity: "tree" } });
