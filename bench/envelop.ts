/**
 * How fast a change of the master key puts sub-keys into new envelopes: CPU time of the process, with 1, 2, … times as many
 * sub-keys, and for comparison each half of the work alone, and the same done with `sm2Encrypt` and `sm2Decrypt` of src/crypto.
 *
 *   node bench/envelop.ts [--sub-keys N] [--rounds N]
 *
 * First with a table in memory; then, once each, over the key table of an instance's folder with half as many shards and all, so
 * that what its reading back and its files cost shows.
 */
import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { generateKeyPair } from "../src/crypto/curve.ts";
import { SecretBuffer } from "../src/crypto/secret-buffer.ts";
import { Sm2Recipient, sm2Decrypt, sm2Encrypt } from "../src/crypto/sm2-encryption.ts";
import type { EnvelopeSet, EnvelopeTable, StagedEnvelope, StagedEnvelopes } from "../src/database/gm/envelope-table.ts";
import { InstanceTable } from "../src/database/gm/instance-table.ts";
import { rewrapAll } from "../src/database/gm/rewrap.ts";
import { softOpener } from "../src/database/gm/sub-key-envelope.ts";
import { makeStoppedInstance } from "../test/unit/database/gm/stopped-instances.ts";

const { values } = parseArgs({
  options: { "sub-keys": { type: "string", default: "10000" }, rounds: { type: "string", default: "3" } },
});
const most = Number(values["sub-keys"]);
const rounds = Number(values.rounds);
const target = 300;

const [oldKey, newKey] = [generateKeyPair("sm2"), generateKeyPair("sm2")];
const recipient = new Sm2Recipient(oldKey.publicKey);
const envelopes: ReadonlyMap<string, Buffer> = new Map(
  Array.from({ length: most }, (_, shard) => {
    using subKey = SecretBuffer.random(16);
    return [`data/enc/autogen/${shard}`, subKey.expose((bytes) => recipient.encrypt(bytes, "asn1"))];
  }),
);

/** As much of a table as a change needs, with nothing to wait for. */
class TableInMemory implements EnvelopeTable {
  #inForce: EnvelopeSet;
  #previous: EnvelopeSet | undefined;
  #staged: { readonly publicKey: Buffer; readonly envelopes: Map<string, StagedEnvelope> } | undefined;

  constructor(count: number) {
    this.#inForce = { publicKey: oldKey.publicKey, envelopes: new Map([...envelopes].slice(0, count)) };
  }
  inForce(): EnvelopeSet {
    return this.#inForce;
  }
  staged(): StagedEnvelopes | undefined {
    return this.#staged;
  }
  startStaging(publicKey: Buffer): void {
    this.#staged = { publicKey, envelopes: new Map() };
  }
  stage(batch: ReadonlyMap<string, StagedEnvelope>): void {
    for (const [name, staged] of batch) this.#staged?.envelopes.set(name, staged);
  }
  putStagedInForce(): void {
    if (this.#staged === undefined) throw new Error("nothing is staged");
    const made = [...this.#staged.envelopes].map(([name, { envelope }]) => [name, envelope] as const);
    this.#previous = this.#inForce;
    this.#inForce = { publicKey: this.#staged.publicKey, envelopes: new Map(made) };
    this.#staged = undefined;
  }
  previous(): EnvelopeSet | undefined {
    return this.#previous;
  }
  dropPrevious(): void {
    this.#previous = undefined;
  }
  [Symbol.dispose](): void {}
}

/** Sub-keys a second of CPU time: the median of the rounds. */
async function rate(count: number, work: () => Promise<void>, times = rounds): Promise<number> {
  const rates: number[] = [];
  for (let round = 0; round < times; round++) {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    rates.push(count / ((user + system) / 1e6));
  }
  return rates.toSorted((one, other) => one - other)[times >> 1] ?? 0;
}

function print(what: string, perSecond: number, note = ""): void {
  console.log(`${what.padEnd(52)}${Math.round(perSecond).toString().padStart(7)} /CPU-s  ${note}`);
}

await using opener = await softOpener(oldKey.scalar, oldKey.publicKey);
const some = [...envelopes.values()].slice(0, Math.min(most, 1_000));
print(
  "open one by one (OpenSSL)",
  await rate(some.length, async () => {
    for (const envelope of some) (await opener.open(envelope))?.[Symbol.dispose]();
  }),
);
print(
  "seal one by one (a recipient's multiples kept)",
  await rate(some.length, async () => {
    const to = new Sm2Recipient(newKey.publicKey);
    for (const envelope of some) to.encrypt(hash("sm3", envelope, "buffer").subarray(0, 16), "asn1");
  }),
);
const few = some.slice(0, 200);
const plain = await rate(few.length, async () => {
  for (const envelope of few) {
    using subKey = sm2Decrypt(oldKey.scalar, envelope, "asn1");
    subKey.expose((bytes) => sm2Encrypt(newKey.publicKey, bytes, "asn1"));
  }
});
print("both, by sm2Decrypt and sm2Encrypt", plain);
let whole = 0;
for (const count of [Math.ceil(most / 10), Math.ceil(most / 2), most]) {
  whole = await rate(count, async () => {
    const report = await rewrapAll(new TableInMemory(count), { opener, newPublicKey: newKey.publicKey });
    if (report.rewrapped !== count) throw new Error(`${report.rewrapped} of ${count} sub-keys were re-wrapped`);
  });
  print(`change of the master key, ${count} sub-keys`, whole, `${(whole / plain).toFixed(1)} x`);
}
const folders = mkdtempSync(join(tmpdir(), "strongroom-bench-envelop-"));
try {
  for (const count of [Math.ceil(most / 2), most]) {
    const { publicKey } = oldKey;
    const folder = await makeStoppedInstance({ within: folders, publicKey, zones: count, keyInFile: false });
    const overFolder = async () => {
      using table = await InstanceTable.open(folder, opener);
      if (table === undefined) throw new Error(`${folder} holds no key table`);
      await rewrapAll(table, { opener, newPublicKey: newKey.publicKey });
    };
    whole = await rate(count, overFolder, 1);
    print(`the same over an instance's folder, ${count} shards`, whole);
  }
} finally {
  rmSync(folders, { recursive: true });
}
console.log(`\n${whole >= target ? "met" : "MISSED"}: at least ${target} sub-keys a second and core`);
process.exitCode = whole >= target ? 0 : 1;
