import assert from "node:assert/strict";
import { createDecipheriv, hkdfSync } from "node:crypto";
import { describe, it } from "node:test";
import { suites } from "../../../src/crypto/suite.ts";
import { SecretBuffer } from "../../../src/level/index.ts";
import { Keyring } from "../../../src/level/keyring.ts";
import { fastestCipherProvider } from "../../../src/level/openssl-cipher.ts";
import { BatchSealer, generationOf, openValue, valueOverheadBytes } from "../../../src/level/sealed-value.ts";
import { nodeCipherProvider } from "../../../src/level/value-cipher.ts";

const storeId = Buffer.alloc(16, 9);
const storedKey = Buffer.from("\u0001a key");
const plaintext = Buffer.from("a value of some bytes");

function keyring(suite = suites.intl, fill = 1, id = storeId, sealsPerEpoch?: number): Keyring {
  const made = new Keyring(suite, id, nodeCipherProvider, sealsPerEpoch);
  using key = SecretBuffer.copyOf(Buffer.alloc(32, fill));
  made.hold(1, key);
  made.makeCurrent(1);
  return made;
}

function seal(under: Keyring, key = storedKey, value: Uint8Array = plaintext): Buffer {
  return new BatchSealer(under, 1).seal(key, value);
}

for (const suite of Object.values(suites))
  describe(`a sealed value, suite ${suite.name}`, () => {
    const keys = keyring(suite);
    const sealed = seal(keys);

    it("opens under its own key, whatever its length", () => {
      for (const length of [0, 1, 15, 16, 17, 1024, 70_000]) {
        const value = Buffer.alloc(length, 0x5a);
        assert.deepEqual(openValue(keys, storedKey, seal(keys, storedKey, value)), value);
      }
    });

    it("is at most 64 bytes longer than the value", () => {
      assert.equal(sealed.length, plaintext.length + valueOverheadBytes);
      assert.ok(valueOverheadBytes <= 64);
    });

    it("is a standard GCM message under the documented HKDF key", () => {
      const info = Buffer.concat([Buffer.from("strongroom/level/value/v1"), sealed.subarray(1, 21)]);
      const key = hkdfSync(suite.hash, Buffer.alloc(32, 1), storeId, info, suite.keyBytes);
      const decipher = createDecipheriv(suite.aead, Buffer.from(key), sealed.subarray(21, 33), { authTagLength: 16 });
      decipher.setAAD(storedKey);
      decipher.setAuthTag(sealed.subarray(-16));
      assert.deepEqual(Buffer.concat([decipher.update(sealed.subarray(33, -16)), decipher.final()]), plaintext);
    });

    it("refuses a change to any single bit", () => {
      for (let bit = 0; bit < sealed.length * 8; bit++) {
        const changed = Buffer.from(sealed);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        assert.throws(() => openValue(keys, storedKey, changed), { code: "LEVEL_CORRUPTION" }, `bit ${bit}`);
      }
    });

    it("refuses every cut and every added byte", () => {
      for (let length = 0; length < sealed.length; length++)
        assert.throws(() => openValue(keys, storedKey, sealed.subarray(0, length)), { code: "LEVEL_CORRUPTION" });
      const longer = Buffer.concat([sealed, Buffer.of(0)]);
      assert.throws(() => openValue(keys, storedKey, longer), { code: "LEVEL_CORRUPTION" });
    });

    it("does not open under another key name", () => {
      for (const other of ["\u0001a kez", "\u0001a ke", "\u0001a key ", ""])
        assert.throws(() => openValue(keys, Buffer.from(other), sealed), { code: "LEVEL_CORRUPTION" });
    });

    it("does not open in another store or under another data key", () => {
      for (const other of [keyring(suite, 1, Buffer.alloc(16, 8)), keyring(suite, 2)])
        assert.throws(() => openValue(other, storedKey, sealed), { code: "LEVEL_CORRUPTION" });
    });

    it("does not open under the other suite", () => {
      const other = keyring(suite.name === "intl" ? suites.sm : suites.intl);
      assert.throws(() => openValue(other, storedKey, sealed), { code: "LEVEL_CORRUPTION" });
    });

    it("does not pass as a value of another generation that is held", () => {
      const both = keyring(suite);
      using second = SecretBuffer.copyOf(Buffer.alloc(32, 2));
      both.hold(2, second);
      const moved = Buffer.from(sealed);
      moved.writeUInt32BE(2, 1);
      assert.equal(generationOf(moved), 2);
      assert.throws(() => openValue(both, storedKey, moved), { code: "LEVEL_CORRUPTION" });
    });
  });

describe("a batch of sealed values", () => {
  it("never uses a nonce twice", () => {
    const keys = keyring();
    const sealer = new BatchSealer(keys, 5000);
    const nonces = Array.from({ length: 5000 }, () => sealer.seal(storedKey, plaintext).toString("hex", 1, 33));
    assert.equal(new Set(nonces).size, nonces.length);
  });

  it("refuses to seal more values than it was announced with", () => {
    const sealer = new BatchSealer(keyring(), 1);
    sealer.seal(storedKey, plaintext);
    assert.throws(() => sealer.seal(storedKey, plaintext), RangeError);
  });

  it("begins a new epoch before a key has sealed more than its bound", () => {
    const keys = keyring(suites.intl, 1, storeId, 3);
    const epochs = Array.from({ length: 7 }, () => seal(keys).toString("hex", 5, 21));
    assert.deepEqual(
      epochs.map((epoch) => [...new Set(epochs)].indexOf(epoch)),
      [0, 0, 0, 1, 1, 1, 2],
    );
  });

  it("has its own epoch for every opening of the store", () => {
    assert.notDeepEqual(seal(keyring()).subarray(5, 21), seal(keyring()).subarray(5, 21));
  });
});

describe("the keyring", () => {
  it("is not filled by made-up epoch ids", () => {
    const keys = keyring();
    const sealed = seal(keys);
    for (let made = 0; made < 50; made++) {
      const changed = Buffer.from(sealed);
      changed.writeUInt32BE(made, 5);
      assert.throws(() => openValue(keys, storedKey, changed), { code: "LEVEL_CORRUPTION" });
      assert.equal(keys.knownCipher(changed.toString("latin1", 1, 21)), undefined);
    }
  });

  it("opens nothing and seals nothing once it is wiped", () => {
    const keys = keyring();
    const sealed = seal(keys);
    keys[Symbol.dispose]();
    assert.throws(() => openValue(keys, storedKey, sealed), { code: "LEVEL_KEY_MISSING" });
    assert.throws(() => seal(keys), { code: "LEVEL_KEY_MISSING" });
  });

  it("still opens values of epochs long out of its cache", () => {
    const writer = Array.from({ length: 300 }, () => keyring());
    const sealed = writer.map((keys) => seal(keys));
    const reader = keyring();
    for (const each of [...sealed, ...sealed]) assert.deepEqual(openValue(reader, storedKey, each), plaintext);
  });
});

describe("what computes the ciphers", async () => {
  const fastest = await fastestCipherProvider();
  const providers = [nodeCipherProvider, fastest];

  for (const suite of Object.values(suites))
    it(`gives the same bytes by node:crypto and by ${fastest.name}, suite ${suite.name}`, () => {
      using key = SecretBuffer.copyOf(Buffer.alloc(suite.keyBytes, 5));
      for (const length of [0, 1, 16, 31, 1024, 100_000]) {
        const [first, second] = providers.map((provider) => {
          using cipher = provider.create(suite, key);
          const box = Buffer.alloc(12 + length + 16, 4);
          cipher.seal(box.subarray(0, 12), storedKey, Buffer.alloc(length, 6), box, 12);
          assert.deepEqual(cipher.open(box, 0, storedKey), Buffer.alloc(length, 6));
          return box;
        });
        assert.deepEqual(first, second);
      }
    });

  for (const provider of providers) {
    it(`refuses every changed bit and opens the next value, by ${provider.name}`, () => {
      using key = SecretBuffer.random(32);
      using cipher = provider.create(suites.intl, key);
      const box = Buffer.alloc(12 + 20 + 16, 4);
      cipher.seal(box.subarray(0, 12), storedKey, Buffer.alloc(20, 6), box, 12);
      for (let bit = 0; bit < box.length * 8; bit++) {
        const changed = Buffer.from(box);
        changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        assert.equal(cipher.open(changed, 0, storedKey), undefined);
        assert.deepEqual(cipher.open(box, 0, storedKey), Buffer.alloc(20, 6));
      }
    });

    it(`refuses what is too short for a tag, by ${provider.name}`, () => {
      using key = SecretBuffer.random(32);
      using cipher = provider.create(suites.intl, key);
      for (let length = 0; length < 28; length++)
        assert.equal(cipher.open(Buffer.alloc(length), 0, storedKey), undefined);
    });
  }

  it("is never used after it was wiped, or with room too small, or with a key of another length", () => {
    using key = SecretBuffer.random(32);
    const cipher = fastest.create(suites.intl, key);
    assert.throws(() => cipher.seal(Buffer.alloc(12), storedKey, plaintext, Buffer.alloc(20), 0), RangeError);
    assert.throws(() => cipher.seal(Buffer.alloc(11), storedKey, plaintext, Buffer.alloc(99), 0));
    cipher[Symbol.dispose]();
    cipher[Symbol.dispose]();
    if (fastest !== nodeCipherProvider) {
      assert.throws(() => cipher.open(Buffer.alloc(40), 0, storedKey), /wiped/);
      assert.throws(() => cipher.seal(Buffer.alloc(12), storedKey, plaintext, Buffer.alloc(99), 0), RangeError);
      assert.throws(() => fastest.create(suites.sm, key), RangeError);
    }
  });
});
