/**
 * How long an encrypted database with many shards takes from the start of its volume to the first request: shard folders, each a zone
 * with its own sub-key in an SM2 envelope, are made without influxd; then the volume is opened anew, one shard is read, then all.
 *
 *     node bench/database-shards.ts [shards]        as root; 10,000 by default
 */
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair } from "../src/crypto/curve.ts";
import { rulesOf } from "../src/database/catalogue/zone-rules.ts";
import { softOpener } from "../src/database/gm/sub-key-envelope.ts";
import { holderOver } from "../src/database/holder/opened-holder.ts";
import { instancePaths } from "../src/database/instance/instance-folder.ts";
import {
  closeInstanceVolume,
  type InstanceVolume,
  openInstanceVolume,
  settleInstance,
} from "../src/database/instance/instance-volume.ts";

const shards = Number(process.argv[2] ?? 10_000);
const folder = mkdtempSync(join(tmpdir(), "strongroom-bench-shards-"));
const { scalar, publicKey } = generateKeyPair("sm2");
await using holder = holderOver(await softOpener(scalar, publicKey));
const sources = { paths: instancePaths(folder), metadataKey: { in: "master" }, holder } as const;
const tell = (what: string) => console.error(what);
const fileOf = ({ root }: InstanceVolume, shard: number) =>
  join(root, "data/data/enc/autogen", String(shard), "000.tsm");

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const begunMs = performance.now();
  const result = await work();
  console.log(`${what.padEnd(44)} ${((performance.now() - begunMs) / 1000).toFixed(2)} s`);
  return result;
}

try {
  const { key } = await settleInstance(sources, "sm4-gcm");
  let volume = await openInstanceVolume(sources, key, tell);
  await volume.control.setRules(rulesOf(["enc"]));
  await timed(`making ${shards} shards`, async () => {
    for (let shard = 0; shard < shards; shard++) {
      await mkdir(join(fileOf(volume, shard), ".."), { recursive: true });
      await writeFile(fileOf(volume, shard), `shard ${shard}`);
    }
  });
  await closeInstanceVolume(volume);
  volume = await timed("opening the volume", () => openInstanceVolume(sources, key, tell));
  await timed("first read of one shard", () => readFile(fileOf(volume, shards >> 1)));
  await timed("read of every shard, as influxd does", async () => {
    for (let shard = 0; shard < shards; shard++) await readFile(fileOf(volume, shard));
  });
  await closeInstanceVolume(volume);
  key[Symbol.dispose]();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
