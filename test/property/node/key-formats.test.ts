import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { generateKeyPair } from "../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { NodeError } from "../../../src/node/errors.ts";
import { generateBesuKey, readBesuKey, writeBesuKey } from "../../../src/node/key-formats/besu-key.ts";
import { decodeHex, encodeHex } from "../../../src/node/key-formats/hex-bytes.ts";
import { type JsonBytes, readJsonBytes } from "../../../src/node/key-formats/json-bytes.ts";
import { parseKeystore } from "../../../src/node/key-formats/keystore-json.ts";
import { openKeystore, writeKeystore } from "../../../src/node/key-formats/keystore-lock.ts";
import { generateNodekey, readNodekey, writeNodekey } from "../../../src/node/key-formats/nodekey-hex.ts";
import { readPasswords } from "../../../src/node/key-formats/password-file.ts";
import { detectKeyFormat, keyFormats } from "../../../src/node/key-formats/table.ts";
import { readTesseraKey, readTesseraPublicKey } from "../../../src/node/key-formats/tessera-key.ts";
import {
  generateTesseraKeyPair,
  openTesseraKey,
  writeLockedTesseraKey,
  writeUnlockedTesseraKey,
} from "../../../src/node/key-formats/tessera-lock.ts";
import { scaled, seed } from "../../run-settings.ts";

const runs = { seed, numRuns: scaled(4000) };
const costlyRuns = { seed, numRuns: scaled(200) };
const bytes = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((it) => Buffer.from(it));
const take = (content: Uint8Array) => SecretBuffer.copyOf(content);
const plain = (content: SecretBuffer) => content.expose((exposed) => Buffer.from(exposed));

/** The call succeeds, or fails with `KEY_FILE_INVALID`: nothing else may come out of a parser of outside bytes. */
function readsOrRefuses(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof NodeError && error.code === "KEY_FILE_INVALID", String((error as Error).stack));
  }
}

const password = take(Buffer.from("pw"));
const cheap = { variant: "id", memoryKiB: 16, passes: 1, parallelism: 1 } as const;
const { scalar } = generateKeyPair("secp256k1");
const goodFiles = await Promise.all([
  generateNodekey().file,
  generateBesuKey().file,
  writeKeystore(scalar, password, { cost: "light" }),
  generateTesseraKeyPair().then(({ file }) => file),
  generateTesseraKeyPair({ password, cost: cheap, curve: "p256" }).then(({ file }) => file),
]);

describe("the parsers of key files", () => {
  it("read or refuse any bytes", () => {
    fc.assert(
      fc.property(bytes(400), (file) => {
        for (const read of [parseKeystore, readTesseraPublicKey]) readsOrRefuses(() => read(file));
        for (const read of [readNodekey, readBesuKey, readPasswords, readTesseraKey])
          readsOrRefuses(() => read(take(file)));
        for (const format of keyFormats) readsOrRefuses(() => format.readPublicIdentity(take(file)));
      }),
      runs,
    );
  });

  it("read or refuse a good file with bytes changed, cut out or put in", () => {
    const change = fc.tuple(fc.nat(2000), fc.nat(255), fc.constantFrom("set", "cut", "insert"));
    fc.assert(
      fc.property(fc.constantFrom(...goodFiles), fc.array(change, { maxLength: 5 }), (good, changes) => {
        const content = [...plain(good)];
        for (const [at, byte, how] of changes) {
          const position = at % (content.length + 1);
          content.splice(position, how === "insert" ? 0 : 1, ...(how === "cut" ? [] : [byte]));
        }
        readsOrRefuses(() => detectKeyFormat(take(Buffer.from(content))));
      }),
      runs,
    );
  });

  it("read or refuse any JSON with a keystore's or a lock's members of any value", () => {
    const [, , keystore, , lock] = goodFiles.map((file) => plain(file).toString());
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("00", 1, 2 ** 53, -1, 0.5, "id", "scrypt"));
    const names = /"(\w+)":("[^"]*"|\d+)/g;
    fc.assert(
      fc.property(fc.constantFrom(keystore ?? "", lock ?? ""), fc.nat(20), value, (text, which, other) => {
        let at = 0;
        const changed = text.replace(names, (whole, name) =>
          at++ === which ? `"${name}":${JSON.stringify(other)}` : whole,
        );
        readsOrRefuses(() => detectKeyFormat(take(Buffer.from(changed))));
      }),
      runs,
    );
  });

  it("open a good file, or fail with PASSWORD_WRONG or KEY_FILE_INVALID, whatever one byte of it becomes", async () => {
    const locked = goodFiles[4];
    assert.ok(locked);
    const length = locked.byteLength;
    await fc.assert(
      fc.asyncProperty(fc.nat(length - 1), fc.nat(255), async (at, byte) => {
        const content = plain(locked);
        if (content[at] === byte) return;
        content[at] = byte;
        // A larger cost than the file's own would only make the test slow.
        if (content.toString("latin1").match(/"(memory|iterations|parallelism)":\d{3}/)) return;
        try {
          const { secret } = await openTesseraKey(take(content), password);
          secret[Symbol.dispose]();
          assert.match(String.fromCharCode(byte), /\s/, "only white space may change");
        } catch (error) {
          assert.ok(error instanceof NodeError, String((error as Error).stack));
        }
      }),
      costlyRuns,
    );
  });
});

describe("what is written is what is read", () => {
  it("in hexadecimal", () => {
    fc.assert(
      fc.property(bytes(40), (content) => {
        const text = encodeHex(content);
        assert.equal(text.toString(), content.toString("hex"));
        assert.deepEqual(decodeHex(text), content);
        assert.deepEqual(decodeHex(Buffer.from(text.toString().toUpperCase())), content);
      }),
      runs,
    );
  });

  it("in node keys of geth and Besu", () => {
    fc.assert(
      fc.property(bytes(32, 32), (content) => {
        assert.deepEqual(plain(readNodekey(writeNodekey(take(content)))), content);
        assert.deepEqual(plain(readBesuKey(writeBesuKey(take(content)))), content);
      }),
      runs,
    );
  });

  it("in keystores, under any password", async () => {
    await fc.assert(
      fc.asyncProperty(bytes(60), async (secret) => {
        const fresh = generateKeyPair("secp256k1").scalar;
        const file = await writeKeystore(fresh, take(secret), { cost: "light" });
        const opened = await openKeystore(file, take(secret));
        assert.ok(opened.scalar.equals(fresh));
      }),
      costlyRuns,
    );
  });

  it("in Tessera keys, unlocked and locked under any password", async () => {
    await fc.assert(
      fc.asyncProperty(bytes(32, 32), bytes(60), async (key, secret) => {
        const read = readTesseraKey(writeUnlockedTesseraKey(take(key)));
        assert.ok("secret" in read && read.secret.equals(key));
        const locked = await writeLockedTesseraKey(take(key), take(secret), cheap);
        assert.ok((await openTesseraKey(locked, take(secret))).secret.equals(key));
      }),
      costlyRuns,
    );
  });

  it("in password files, but for CRs at a line's end", () => {
    const line = fc.string({ maxLength: 20 }).filter((it) => !/[\0\n]|\r$/.test(it));
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 20 }), fc.constantFrom("\n", "\r\n"), (lines, end) => {
        const file = take(Buffer.from(lines.map((it) => it + end).join("")));
        assert.deepEqual(
          readPasswords(file).map((it) => plain(it).toString()),
          lines,
        );
      }),
      runs,
    );
  });

  it("in JSON of objects, plain texts and whole numbers, as JSON.parse reads it", () => {
    const text = fc.stringMatching(/^[ !#-[\]-~]{0,30}$/);
    const name = fc.stringMatching(/^[a-z]{1,10}$/);
    const leaf = fc.oneof(text, fc.nat(1e9));
    const table = fc.dictionary(name, fc.oneof(leaf, fc.dictionary(name, leaf, { maxKeys: 4 })), { maxKeys: 6 });
    const asObject = (value: JsonBytes): unknown =>
      Object.fromEntries(
        [...value].map(([key, member]) => [
          key,
          Buffer.isBuffer(member) ? member.toString() : typeof member === "number" ? member : asObject(member),
        ]),
      );
    fc.assert(
      fc.property(table, fc.constantFrom(undefined, 2, "\t"), (value, indent) => {
        const file = Buffer.from(JSON.stringify(value, null, indent));
        const read = readJsonBytes(file, () => new Error("refused"));
        assert.deepEqual(asObject(read), JSON.parse(file.toString()));
      }),
      runs,
    );
  });
});
