import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { deviceAlgorithms, readBoxHeader } from "../../../src/crypto/sealed-box.ts";
import { SecretBuffer } from "../../../src/crypto/secret-buffer.ts";
import { suites } from "../../../src/crypto/suite.ts";
import { encodeSealedFile, openSealedFile, readSealedMetadata } from "../../../src/node/sealed-file.ts";

const owner = { node: "node-1", network: "net" };
const metadata = {
  name: "nodekey",
  ...owner,
  format: "opaque",
  publicIdentity: { algorithm: "none" },
  version: 3,
  sealedAt: "2026-01-01T00:00:00.000Z",
};
const damaged = { code: "SEALED_FILE_DAMAGED", exitCode: 5 };

interface OldFile {
  readonly dataKey: string;
  readonly plaintext: string;
  readonly file: string;
}
const oldFiles = JSON.parse(
  readFileSync(new URL("../../vectors/sealed-file-1.json", import.meta.url), "utf8"),
) as readonly OldFile[];

describe("a sealed file of format 1", () => {
  for (const { dataKey, plaintext, file } of oldFiles) {
    const open = (bytes: Buffer) => openSealedFile(bytes, owner, SecretBuffer.copyOf(Buffer.from(dataKey, "hex")));

    it("opens, as version 1 of its key", () => {
      const opened = open(Buffer.from(file, "hex"));
      assert.equal(opened.metadata.version, 1);
      assert.ok(opened.plaintext.equals(Buffer.from(plaintext)));
    });

    it("does not open as format 2", () => {
      const bytes = Buffer.from(file, "hex");
      bytes.writeUInt8(2, 4);
      assert.throws(() => open(bytes), damaged);
    });
  }
});

for (const suite of [suites.intl, suites.sm])
  describe(`a sealed file (${suite.name})`, () => {
    const key = { suite, id: "00000000-0000-4000-8000-000000000001", version: 7 };
    const dataKey = SecretBuffer.random(32);
    const secret = SecretBuffer.copyOf(Buffer.from("a private key"));
    const file = encodeSealedFile(metadata, key, dataKey, secret);

    it("opens again, and says what it is without a key", () => {
      assert.deepEqual(readSealedMetadata(file), metadata);
      assert.ok(openSealedFile(file, owner, dataKey).plaintext.equals(secret));
    });

    it("names the data key and its version in the box", () => {
      const header = readBoxHeader(file.subarray(7 + file.readUInt16BE(5)));
      assert.equal(header.deviceAlgorithm, deviceAlgorithms.dataKey);
      assert.equal(header.keyId, key.id);
      assert.equal(header.keyVersion, 7);
    });

    it("refuses a change of any single bit", () => {
      for (let bit = 0; bit < file.length * 8; bit++) {
        const bad = Buffer.from(file);
        bad.writeUInt8(bad.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        assert.throws(() => openSealedFile(bad, owner, dataKey), damaged, `bit ${bit}`);
      }
    });

    it("refuses every truncation and anything added", () => {
      for (let length = 0; length < file.length; length++)
        assert.throws(() => openSealedFile(file.subarray(0, length), owner, dataKey), damaged);
      assert.throws(() => openSealedFile(Buffer.concat([file, Buffer.of(0)]), owner, dataKey), damaged);
    });

    it("refuses another node, another network and another key", () => {
      assert.throws(() => openSealedFile(file, { ...owner, node: "node-2" }, dataKey), damaged);
      assert.throws(() => openSealedFile(file, { ...owner, network: "other" }, dataKey), damaged);
      assert.throws(() => openSealedFile(file, owner, SecretBuffer.random(32)), damaged);
    });

    it("refuses metadata of another file before the same box", () => {
      const other = encodeSealedFile({ ...metadata, name: "otherke" }, key, dataKey, secret);
      const length = 7 + file.readUInt16BE(5);
      assert.equal(length, 7 + other.readUInt16BE(5));
      assert.throws(
        () => openSealedFile(Buffer.concat([other.subarray(0, length), file.subarray(length)]), owner, dataKey),
        damaged,
      );
    });

    it("refuses metadata with unknown, missing or mistyped members", () => {
      for (const bad of [
        { ...metadata, more: "x" },
        { ...metadata, name: 1 },
        { ...metadata, version: undefined },
        { ...metadata, version: "3" },
        { ...metadata, version: 0 },
        { ...metadata, version: 1.5 },
        { ...metadata, publicIdentity: { algorithm: "none", more: "x" } },
        { ...metadata, publicIdentity: {} },
        { ...metadata, publicIdentity: null },
        { name: "nodekey" },
        [],
        null,
      ]) {
        const text = Buffer.from(JSON.stringify(bad));
        const head = Buffer.from(
          [..."SRSF"].map((letter) => letter.charCodeAt(0)).concat(2, text.length >> 8, text.length & 255),
        );
        assert.throws(() => readSealedMetadata(Buffer.concat([head, text])), damaged);
      }
    });
  });
