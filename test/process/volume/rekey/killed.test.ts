import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../../src/crypto/suite.ts";
import { verifyVolumeHeader } from "../../../../src/volume/header.ts";
import { openKeyTable } from "../../../../src/volume/sealfs/keys/open-table.ts";
import type { OpenedVolume } from "../../../../src/volume/sealfs/server/opened-volume.ts";
import { volumeIdBytes } from "../../../../src/volume/sealfs/server/opened-volume.ts";
import { rekeyVolume } from "../../../../src/volume/sealfs-rekey.ts";
import { deriveVolumeKey } from "../../../../src/volume/sub-key.ts";
import { long, seed } from "../../../run-settings.ts";
import { gather } from "../engines/processes.ts";
import { MasterKeys, ServedVolume, skip } from "../sealfs/control/served-volume.ts";
import { contentOf, lookInto } from "../sealfs/resealing/locked-volume.ts";

const program = join(import.meta.dirname, "rekey-program.ts");
const preload = join(import.meta.dirname, "killed-at-change.ts");
const rules = [
  { pattern: "data/kept", becomes: "table-sealed" },
  { pattern: "data/gone", becomes: "table-sealed" },
  { pattern: "data/sealed", becomes: "sealed" },
] as const;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly errors: string;
}

async function rekeyed(folder: string, keys: readonly SecretBuffer[], killedAt?: number): Promise<Ended> {
  const preloaded = killedAt === undefined ? [] : ["--import", preload];
  const env = { ...process.env, KILLED_IN: folder, KILLED_AT: String(killedAt ?? 0) };
  const child = spawn(process.execPath, [...preloaded, program, folder], { env, stdio: ["pipe", "ignore", "pipe"] });
  const errors = gather(child.stderr);
  child.stdin.on("error", () => {});
  child.stdin.end(Buffer.concat(keys.map((key) => key.expose((bytes) => Buffer.from(bytes)))));
  const [code, signal] = await once(child, "close");
  return { code, signal, errors: errors() };
}

async function holds(check: () => unknown): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    assert.match(String((error as { readonly code?: unknown }).code), /_WRONG_KEY$/);
    return false;
  }
}

/** Which parts of a locked volume a data key opens. */
async function openedBy(folder: string, dataKey: SecretBuffer): Promise<{ header: boolean; table: boolean }> {
  const bytes = readFileSync(join(folder, "volume.header"));
  const header = await holds(() => verifyVolumeHeader(bytes, dataKey));
  const { volumeId, suite } = JSON.parse(bytes.subarray(7, 7 + bytes.readUInt16BE(5)).toString());
  const description = { kind: "sealfs", volumeId, suite, parameters: {} } as const;
  using tableKey = deriveVolumeKey(description, dataKey, "table-key", 32);
  const place = { folder: join(folder, "store"), volumeId: volumeIdBytes(volumeId), suite: suites.sm, tableKey };
  const table = await holds(async () => (await openKeyTable(place, { readOnly: true })).close());
  return { header, table };
}

const sealedEnvelope = ({ keys }: OpenedVolume) =>
  keys.table.zoneMadeFor(["data", "sealed"])?.generations[0]?.envelope.toString("hex") ?? assert.fail();

describe("putting a locked sealfs volume under another data key", { skip }, () => {
  it("is finished by a second call, killed before whichever change of a file", async (t) => {
    const masters = new MasterKeys();
    const publicKey = masters.make();
    const served = await ServedVolume.create(t, { rules, keyHolder: { publicKey } });
    const data = await served.open({ keyHolder: masters.holder(publicKey) });
    for (const { pattern } of rules) {
      await mkdir(join(data, "..", pattern));
      await writeFile(join(data, "..", pattern, "file"), pattern);
    }
    await (await served.control()).destroyZone("data/gone");
    await served.close();
    using newKey = SecretBuffer.random(32);
    const keys = [served.dataKey, newKey];
    const look = (volume: OpenedVolume) => {
      assert.equal(contentOf(volume, ["data", "kept", "file"]).toString(), "data/kept");
      assert.throws(() => contentOf(volume, ["data", "gone", "file"]), { code: "ENOKEY" });
      return sealedEnvelope(volume);
    };
    const envelope = await lookInto(served.folder, served.dataKey, look);
    const copyOf = (name: string) => {
      const copy = join(served.folder, "..", name);
      cpSync(served.folder, copy, { recursive: true, preserveTimestamps: true });
      return copy;
    };

    const whole = await rekeyed(copyOf("whole"), keys, 0);
    assert.equal(whole.code, 0, whole.errors);
    const changes = Number(/changes: (\d+)/.exec(whole.errors)?.[1]);
    assert.ok(changes >= 10, whole.errors);
    const states = new Set<string>();
    for (let killedAt = 1; killedAt <= changes; killedAt += 1) {
      // The steps about the rename of the table and of the header come last, and are all tried.
      if (!long && killedAt < changes - 8 && killedAt % 4 !== Math.abs(seed) % 4) continue;
      const folder = copyOf(`killed-${killedAt}`);
      const what = `killed before change ${killedAt} of ${changes}`;
      assert.equal((await rekeyed(folder, keys, killedAt)).signal, "SIGKILL", what);
      const [older, newer] = [await openedBy(folder, served.dataKey), await openedBy(folder, newKey)];
      assert.notEqual(older.header, newer.header, what);
      assert.notEqual(older.table, newer.table, what);
      assert.ok(!(newer.header && older.table), `${what}: the header came first`);
      states.add(`${newer.header} ${newer.table}`);
      if (older.header && older.table) assert.equal(await lookInto(folder, served.dataKey, look), envelope, what);
      await rekeyVolume({ folder }, served.dataKey, newKey);
      assert.equal(await lookInto(folder, newKey, look), envelope, what);
      assert.deepEqual(await openedBy(folder, served.dataKey), { header: false, table: false }, what);
      await rekeyVolume({ folder }, served.dataKey, newKey);
      rmSync(folder, { recursive: true });
    }
    assert.deepEqual([...states].sort(), ["false false", "false true", "true true"]);
  });
});
