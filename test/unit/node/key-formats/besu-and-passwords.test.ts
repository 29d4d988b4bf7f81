import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import {
  besuKey,
  besuKeyR1,
  generateBesuKey,
  readBesuKey,
  writeBesuKey,
} from "../../../../src/node/key-formats/besu-key.ts";
import {
  generateNodekey,
  nodekeyHex,
  readNodekey,
  writeNodekey,
} from "../../../../src/node/key-formats/nodekey-hex.ts";
import { generatePasswordFile, passwordFile, readPasswords } from "../../../../src/node/key-formats/password-file.ts";
import { detectKeyFormat } from "../../../../src/node/key-formats/table.ts";
import { nodeKeyVectors } from "./vectors.ts";

const secret = (content: string) => SecretBuffer.copyOf(Buffer.from(content));
const text = (content: SecretBuffer) => content.expose((bytes) => bytes.toString());
const [vector] = nodeKeyVectors.nodekey;
assert.ok(vector);
const { priv } = vector;

describe("node keys in hexadecimal", () => {
  it("may end in at most two of LF and CR, in any order, as geth reads them", () => {
    for (const end of ["", "\n", "\r", "\r\n", "\n\r", "\n\n", "\r\r"])
      for (const key of [priv, priv.toUpperCase()])
        assert.equal(nodekeyHex.readPublicIdentity(secret(key + end)).nodeId, vector.enode_pub);
    for (const end of ["\n\n\n", " ", "\n ", "0", "\0", "\t", "\n0"])
      assert.throws(() => nodekeyHex.readPublicIdentity(secret(priv + end)), { code: "KEY_FILE_INVALID" });
  });

  it("are generated without a line end, and read back", () => {
    const made = generateNodekey();
    assert.match(text(made.file), /^[0-9a-f]{64}$/);
    assert.deepEqual(nodekeyHex.readPublicIdentity(made.file), made.identity);
    assert.ok(writeNodekey(readNodekey(made.file)).equals(made.file));
    assert.equal(made.fileName, "nodekey");
  });
});

describe("Besu's key files", () => {
  it("are one line, with 0x or without", () => {
    for (const start of ["0x", ""])
      for (const end of ["", "\n", "\r\n", "\r"])
        assert.equal(besuKey.readPublicIdentity(secret(start + priv + end)).nodeId, vector.enode_pub);
  });

  it("are detected by their 0x; without it they are a node key, which is the same key", () => {
    assert.equal(detectKeyFormat(secret(`0x${priv}\n`)).format, besuKey);
    assert.equal(detectKeyFormat(secret(`${priv}\n`)).format, nodekeyHex);
  });

  it("are refused with another line, prefix, length or character, or out of the curve's range", () => {
    for (const bad of [
      "",
      "0x",
      `0X${priv}`,
      `0x0x${priv}`,
      ` 0x${priv}`,
      `0x${priv}\n\n`,
      `0x${priv}\n\r`,
      `0x${priv} `,
      `0x${priv}00`,
      `0x${priv.slice(1)}`,
      `0x${priv.slice(0, 63)}g`,
      `0x${"0".repeat(64)}`,
      `0x${"f".repeat(64)}`,
    ])
      assert.throws(() => besuKey.readPublicIdentity(secret(bad)), { code: "KEY_FILE_INVALID" }, bad);
  });

  it("hold a P-256 key only when that format is named", () => {
    const identity = besuKeyR1.readPublicIdentity(secret(priv));
    assert.equal(identity.algorithm, "p256");
    assert.notEqual(identity.nodeId, vector.enode_pub);
    assert.equal(identity.address, undefined);
  });

  it("are generated as Besu writes them, on both curves, and read back", () => {
    for (const [curve, format] of [
      ["secp256k1", besuKey],
      ["p256", besuKeyR1],
    ] as const) {
      const made = generateBesuKey(curve);
      assert.equal(made.format, format.name);
      assert.match(text(made.file), /^0x[0-9a-f]{64}$/);
      assert.deepEqual(format.readPublicIdentity(made.file), made.identity);
      assert.ok(writeBesuKey(readBesuKey(made.file)).equals(made.file));
    }
  });
});

describe("password files", () => {
  it("hold one password a line: CR dropped, spaces kept, a last LF ends nothing", () => {
    for (const [content, passwords] of [
      ["one", ["one"]],
      ["one\n", ["one"]],
      ["one \r\n two\r\r\n", ["one ", " two"]],
      ["\n", [""]],
      ["a\n\nb\n", ["a", "", "b"]],
      ["pä\tss\n", ["pä\tss"]],
    ] as const)
      assert.deepEqual(readPasswords(secret(content)).map(text), passwords);
  });

  it("have no public identity, and must be named", () => {
    assert.deepEqual(passwordFile.readPublicIdentity(secret("pw\n")), { algorithm: "none" });
    assert.throws(() => detectKeyFormat(secret("pw\n")), { code: "KEY_FILE_INVALID" });
  });

  it("are refused when empty, with NUL, too long or of too many lines", () => {
    for (const bad of ["", "a\0b", "\n".repeat(1025), "x".repeat(65_537)])
      assert.throws(() => readPasswords(secret(bad)), { code: "KEY_FILE_INVALID" });
  });

  it("are generated with 32 random bytes in hexadecimal", () => {
    const [one, other] = [generatePasswordFile(), generatePasswordFile()];
    assert.match(text(one.file), /^[0-9a-f]{64}\n$/);
    assert.equal(one.file.equals(other.file), false);
  });
});
