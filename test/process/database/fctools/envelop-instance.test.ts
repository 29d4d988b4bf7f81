import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { InstanceTable } from "../../../../src/database/gm/instance-table.ts";
import { sealContainer } from "../../../../src/database/gm/private-key-v2.ts";
import { softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";
import { instancePaths } from "../../../../src/database/instance/instance-folder.ts";
import { long, seed } from "../../../run-settings.ts";
import { makeStoppedInstance } from "../../../unit/database/gm/stopped-instances.ts";
import { fctools, fileOf, folder, run, runSource } from "./programs.ts";

const pincode = "a pincode of the old key";
const [oldKey, newKey] = [generateKeyPair("sm2"), generateKeyPair("sm2")];
const [pubkey, expubkey] = [oldKey.publicKey.toString("hex"), newKey.publicKey.toString("hex")];
const prikey = await sealContainer(
  { ...oldKey, pincode: SecretBuffer.take(Buffer.from(pincode)) },
  { cost: 16_384, blockSize: 8, parallelization: 1 },
);
const keys = ["--pubkey", pubkey, "--prikey-file", fileOf(`${prikey}\n`, 0o644), "--expubkey", expubkey];
const args = ["envelop", ...keys, "--pincode-file", fileOf(`${pincode}\n`), "--json"];

/** Each sub-key, the instance key too, as the master key opens it. */
async function subKeys(path: string, key: typeof oldKey): Promise<readonly string[]> {
  await using opener = await softOpener(key.scalar, key.publicKey);
  using table = (await InstanceTable.open(path, opener)) ?? assert.fail("no table");
  const { publicKey, envelopes } = table.inForce();
  assert.equal(publicKey.equals(key.publicKey), true);
  const found: string[] = [];
  for (const [name, envelope] of envelopes) {
    using subKey = (await opener.open(envelope)) ?? assert.fail(`${name} does not open`);
    found.push(`${name} ${subKey.expose((bytes) => bytes.toString("hex"))}`);
  }
  return found.sort();
}

describe("fctools envelop on an instance's folder", () => {
  it("changes the master key of its shards and of its instance key", async () => {
    for (const keyInFile of [true, false]) {
      const path = await makeStoppedInstance({ within: folder, publicKey: oldKey.publicKey, zones: 5, keyInFile });
      const before = await subKeys(path, oldKey);
      const { code, stdout, stderr } = await run(fctools, [...args, path]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), { total: 6, rewrapped: 6, resumed: 0, publicKey: expubkey, config: null });
      assert.deepEqual(await subKeys(path, newKey), before);
      assert.equal(readFileSync(instancePaths(path).envelopeFile, "utf8").includes(expubkey), true);
    }
  });

  it("goes on after a kill -9 at any change of a file", async () => {
    const made = await makeStoppedInstance({ within: folder, publicKey: oldKey.publicKey, zones: 5, keyInFile: false });
    const before = await subKeys(made, oldKey);
    const whole = `${made}-whole`;
    cpSync(made, whole, { recursive: true });
    const { stderr: told } = await runSource("fctools-killed.ts", [...args, whole]);
    const changes = Number(/changes: (\d+)/.exec(told)?.[1]);
    assert.equal(changes > 10, true, told);
    const all = Array.from({ length: changes }, (_, at) => at + 1);
    for (const killedAt of long ? all : all.filter((at) => at % 8 === seed % 8)) {
      const path = `${made}-${killedAt}`;
      cpSync(made, path, { recursive: true });
      const environment = { KILLED_AT: String(killedAt) };
      const killed = await runSource("fctools-killed.ts", [...args, path], { environment });
      assert.equal(killed.signal, "SIGKILL", killed.stderr);
      const again = await run(fctools, [...args, path]);
      assert.equal(again.code, 0, `killed at change ${killedAt}: ${again.stderr}`);
      assert.deepEqual(await subKeys(path, newKey), before, `killed at change ${killedAt}`);
      assert.equal(existsSync(instancePaths(path).nextEnvelopeFile), false);
      rmSync(path, { recursive: true });
    }
  });

  it("refuses an instance that is in use, and one whose key table was cut", async () => {
    const path = await makeStoppedInstance({ within: folder, publicKey: oldKey.publicKey, zones: 2 });
    {
      await using opener = await softOpener(oldKey.scalar, oldKey.publicKey);
      using _inUse = await InstanceTable.open(path, opener);
      const busy = await run(fctools, [...args, path]);
      assert.equal(busy.code, 1);
      assert.match(busy.stderr, /error: the instance is in use: .*\nfctools: hint: stop strongroom db serve/);
    }
    const table = join(path, "store/keys");
    truncateSync(table, 120);
    const cut = await run(fctools, [...args, path]);
    assert.equal(cut.code, 5);
    assert.match(cut.stderr, /nothing was changed; restore/);
    assert.equal(readFileSync(table).length, 120);
  });
});
