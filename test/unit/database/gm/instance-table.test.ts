import assert from "node:assert/strict";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { type EnvelopeTable, openEnvelopeTable } from "../../../../src/database/gm/envelope-table.ts";
import { InstanceTable, instanceKeyName } from "../../../../src/database/gm/instance-table.ts";
import { rewrapAll } from "../../../../src/database/gm/rewrap.ts";
import { type SubKeyOpener, softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { nodeTableSystem, type TableSystem } from "../../../../src/volume/sealfs/keys/table-system.ts";
import { long, seed } from "../../../run-settings.ts";
import { describeEnvelopeTable } from "./envelope-table-contract.ts";
import { makeStoppedInstance } from "./stopped-instances.ts";

const within = mkdtempSync(join(tmpdir(), "strongroom-instances-"));
after(() => rmSync(within, { recursive: true, force: true }));
const [oldKey, newKey, foreignKey] = [generateKeyPair("sm2"), generateKeyPair("sm2"), generateKeyPair("sm2")];

describeEnvelopeTable("of a stopped instance, under SM4", async (publicKey) => {
  const folder = await makeStoppedInstance({ within, publicKey, zones: 3 });
  return { open: async (opener) => (await InstanceTable.open(folder, opener)) ?? assert.fail("no table") };
});

describeEnvelopeTable("of a stopped instance, under AES, whose key is in its envelope only", async (publicKey) => {
  const folder = await makeStoppedInstance({ within, publicKey, zones: 3, suite: "intl", keyInFile: false });
  return { open: async (opener) => (await InstanceTable.open(folder, opener)) ?? assert.fail("no table") };
});

function openerOf({ scalar, publicKey }: typeof oldKey): Promise<SubKeyOpener> {
  return softOpener(scalar, publicKey);
}

async function opened<T>(
  folder: string,
  key: typeof oldKey,
  use: (table: EnvelopeTable, opener: SubKeyOpener) => Promise<T> | T,
): Promise<T> {
  await using opener = await openerOf(key);
  using table = await openEnvelopeTable(folder, opener);
  return await use(table, opener);
}

/** The sub-keys, in hexadecimal, as this master key opens them. */
function subKeys(folder: string, key: typeof oldKey): Promise<ReadonlyMap<string, string>> {
  return opened(folder, key, async (table, opener) => {
    const found = new Map<string, string>();
    for (const [name, envelope] of table.inForce().envelopes) {
      using subKey = (await opener.open(envelope)) ?? assert.fail(`${name} does not open`);
      found.set(
        name,
        subKey.expose((bytes) => bytes.toString("hex")),
      );
    }
    return found;
  });
}

/** Fails as a kill would, from the call of this number on; changes only. */
function failingAt(failsAt: number): { readonly system: TableSystem; readonly calls: () => number } {
  let calls = 0;
  const changing = new Set(["write", "truncate", "sync", "rename", "remove", "syncFolder"]);
  const system = Object.fromEntries(
    Object.entries(nodeTableSystem).map(([name, call]) => [
      name,
      (...args: readonly unknown[]) => {
        if (changing.has(name) && ++calls >= failsAt) throw Object.assign(new Error("killed"), { code: "EIO" });
        return (call as (...all: readonly unknown[]) => unknown)(...args);
      },
    ]),
  ) as unknown as TableSystem;
  return { system, calls: () => calls };
}

async function rewrapOn(folder: string, system: TableSystem): Promise<void> {
  await using opener = await openerOf(oldKey);
  using table = (await InstanceTable.open(folder, opener, system)) ?? assert.fail("no table");
  await rewrapAll(table, { opener, newPublicKey: newKey.publicKey, batchEnvelopes: 4 });
}

describe("a stopped instance's master key", () => {
  for (const suite of ["sm", "intl"] as const)
    it(`changes for the sub-keys and for the instance key, which stay what they are (${suite})`, async () => {
      const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 9, suite });
      const before = await subKeys(folder, oldKey);
      assert.equal(before.size, 10);
      assert.equal(before.has(instanceKeyName), true);
      await rewrapOn(folder, nodeTableSystem);
      assert.deepEqual(await subKeys(folder, newKey), before);
      assert.equal(existsSync(instancePaths(folder).nextEnvelopeFile), false);
      await assert.rejects(subKeys(folder, oldKey), { code: "MASTER_KEY_MISMATCH" });
    });

  for (const keyInFile of [true, false])
    it(`is one or the other, whole, whenever the change is cut off, and the same command completes it (${keyInFile ? "with" : "without"} instance.key)`, async () => {
      const whole = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 9, keyInFile });
      const counted = failingAt(Number.POSITIVE_INFINITY);
      await rewrapOn(whole, counted.system);
      const all = Array.from({ length: counted.calls() }, (_, at) => at + 1);
      // Each seed takes other steps.
      const chosen = long ? all : all.filter((step) => step % 6 === seed % 6);
      const made = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 9, keyInFile });
      const before = await subKeys(made, oldKey);
      for (const step of chosen) {
        const folder = `${made}-${step}`;
        cpSync(made, folder, { recursive: true });
        await assert.rejects(rewrapOn(folder, failingAt(step).system), `step ${step}`);
        const inForce = await opened(folder, oldKey, (table) => table.inForce().publicKey);
        const key = inForce.equals(oldKey.publicKey) ? oldKey : newKey;
        assert.deepEqual(await subKeys(folder, key), before, `step ${step}`);
        await rewrapOn(folder, nodeTableSystem);
        assert.deepEqual(await subKeys(folder, newKey), before, `step ${step}`);
        assert.equal(existsSync(instancePaths(folder).nextEnvelopeFile), false, `step ${step}`);
        rmSync(folder, { recursive: true });
      }
    });

  it("is found from the instance's folder, its store and its files", async () => {
    const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 1 });
    for (const path of ["", "store", "store/keys", "volume.header", "instance.envelope"])
      assert.equal((await subKeys(join(folder, path), oldKey)).size, 2, path);
  });

  it("refuses a master key that is neither in force nor former", async () => {
    for (const keyInFile of [true, false]) {
      const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 1, keyInFile });
      await assert.rejects(subKeys(folder, foreignKey), { code: "MASTER_KEY_MISMATCH" });
    }
  });

  it("gives an instance that has lost its envelope another", async () => {
    const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 1 });
    const before = await subKeys(folder, oldKey);
    rmSync(instancePaths(folder).envelopeFile);
    assert.deepEqual(await subKeys(folder, oldKey), before);
    rmSync(instancePaths(folder).keyFile);
    assert.deepEqual(await subKeys(folder, oldKey), before);
  });

  it("refuses a cut or altered key table, and leaves it as it was", async () => {
    const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 5 });
    const file = join(folder, "store/keys");
    const whole = readFileSync(file);
    for (const damage of [
      () => truncateSync(file, 50),
      () => truncateSync(file, 200),
      () => truncateSync(file, 0),
      () => writeFileSync(file, flipped(whole, 300)),
      () => writeFileSync(file, flipped(whole, 10)),
    ]) {
      damage();
      const before = readFileSync(file);
      await assert.rejects(subKeys(folder, oldKey), { code: "ENVELOPE_TABLE_DAMAGED" });
      assert.deepEqual(readFileSync(file), before);
      writeFileSync(file, whole);
    }
    assert.equal((await subKeys(folder, oldKey)).size, 6);
  });

  it("refuses the key table of another instance", async () => {
    const [one, other] = [
      await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 1 }),
      await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 1 }),
    ];
    copyFileSync(join(other, "store/keys"), join(one, "store/keys"));
    await assert.rejects(subKeys(one, oldKey), { code: "ENVELOPE_TABLE_DAMAGED" });
  });

  it("keeps what is in force when what was staged is altered, and stages anew", async () => {
    const folder = await makeStoppedInstance({ within, publicKey: oldKey.publicKey, zones: 5 });
    const before = await subKeys(folder, oldKey);
    await opened(folder, oldKey, (table) => table.startStaging(newKey.publicKey));
    const staged = join(folder, "store/keys.rewrap");
    writeFileSync(staged, flipped(readFileSync(staged), 150));
    await rewrapOn(folder, nodeTableSystem);
    assert.deepEqual(await subKeys(folder, newKey), before);
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const altered = Buffer.from(bytes);
  altered.writeUInt8(altered.readUInt8(at) ^ 1, at);
  return altered;
}
