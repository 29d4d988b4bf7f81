import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openDatabase } from "../../../../src/chain/node/open-database.ts";
import { storeKey } from "../../../../src/chain/node/store-key.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";

const folder = mkdtempSync(join(tmpdir(), "strongroom-store-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let places = 0;
const canary = Buffer.from("a block that nobody may read");

function newPlace(): string {
  places += 1;
  return join(folder, `store${places}`);
}

function descriptorOf(bytes: Buffer): number {
  const path = newPlace();
  writeFileSync(path, bytes);
  return openSync(path, "r");
}

async function filled(dataKey: SecretBuffer | undefined): Promise<string> {
  const place = newPlace();
  const database = await openDatabase(place, dataKey, "sm");
  await database.batch([{ type: "put", key: Buffer.from("b"), value: canary }], { sync: true });
  await database.close();
  return place;
}

describe("a node's database", () => {
  it("is ciphertext under a key, and opens under that key again", async () => {
    using key = SecretBuffer.random(32);
    const place = await filled(key);
    for (const name of readdirSync(place)) assert.ok(!readFileSync(join(place, name)).includes(canary), name);
    const database = await openDatabase(place, key, "sm");
    assert.deepEqual(await database.get(Buffer.from("b")), canary);
    await database.close();
  });

  it("does not open under another key, or none", async () => {
    using key = SecretBuffer.random(32);
    using other = SecretBuffer.random(32);
    const place = await filled(key);
    await assert.rejects(openDatabase(place, other, "sm"), { code: "STORE_KEY_WRONG" });
    await assert.rejects(openDatabase(place, undefined, "sm"), { code: "STORE_KEY_WRONG", message: /is encrypted/ });
  });

  it("that was made plain does not pass for an encrypted one", async () => {
    using key = SecretBuffer.random(32);
    const place = await filled(undefined);
    await assert.rejects(openDatabase(place, key, "sm"), { code: "STORE_KEY_WRONG", message: /without encryption/ });
  });
});

describe("the store's key", () => {
  const off = { storageSecurity: { enable: false } };

  it("is what a launch hands over, all of it", async () => {
    const bytes = Buffer.alloc(32, 9);
    using key = await storeKey(off, descriptorOf(bytes));
    assert.equal(key?.equals(bytes), true);
  });

  it("is not a key of another length", async () => {
    for (const length of [0, 16, 31, 33, 64])
      await assert.rejects(storeKey(off, descriptorOf(Buffer.alloc(length, 1))), { code: "CONFIG_UNUSABLE" });
  });

  it("is not there when the descriptor is not", async () => {
    const descriptor = descriptorOf(Buffer.alloc(32));
    closeSync(descriptor);
    await assert.rejects(storeKey(off, descriptor), { code: "CONFIG_UNUSABLE" });
  });

  it("is none without storage security", async () => {
    assert.equal(await storeKey(off, undefined), undefined);
  });

  it("comes of what the key manager's FISCO door answers, and is refused when that refuses", async () => {
    let answer = "";
    const server = createServer((request, response) => {
      request.resume();
      response.end(answer);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert(typeof address === "object" && address !== null);
    const on = {
      storageSecurity: { enable: true, keyCenterUrl: `127.0.0.1:${address.port}`, cipherDataKey: "abcd" },
    };
    const result = (dataKey: string, error: number) =>
      JSON.stringify({ id: 83, jsonrpc: "2.0", result: { dataKey, error, info: "…" } });
    try {
      answer = result("00112233", 0);
      using one = await storeKey(on, undefined);
      using same = await storeKey(on, undefined);
      assert.equal(one?.byteLength, 32);
      assert.equal(one !== undefined && same?.equals(one), true);
      answer = result("00112234", 0);
      using other = await storeKey(on, undefined);
      assert.equal(one !== undefined && other?.equals(one), false);
      for (const bad of [result("", 1), result("001", 0), result("zz", 0), result("", 0), "{}", "no JSON"]) {
        answer = bad;
        await assert.rejects(storeKey(on, undefined), { code: "KEY_MANAGER_REFUSED" });
      }
    } finally {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
    await assert.rejects(storeKey(on, undefined), { code: "KEY_MANAGER_UNREACHABLE" });
  });
});
