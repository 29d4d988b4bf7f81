import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeBase64, encodeBase64 } from "../../../src/crypto/base64.ts";

describe("base64 between Buffers", () => {
  it("encodes and decodes every byte at every position as Node does", () => {
    for (let length = 0; length <= 9; length++)
      for (let value = 0; value < 256; value++) {
        const bytes = Buffer.alloc(length, value);
        const text = encodeBase64(bytes);
        assert.equal(text.toString(), bytes.toString("base64"));
        assert.deepEqual(decodeBase64(text), bytes);
      }
  });

  it("refuses every character outside the alphabet, at every place of a group", () => {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (let character = 0; character < 256; character++)
      for (let at = 0; at < 4; at++) {
        const text = Buffer.from("AAAAAAAA");
        text.writeUInt8(character, at);
        assert.equal(decodeBase64(text) !== undefined, alphabet.includes(String.fromCharCode(character)));
      }
  });

  it("refuses missing, misplaced and surplus padding, and unused bits that are set", () => {
    for (const text of ["A", "AA", "AAA", "A===", "====", "=AAA", "AA=A", "AAAA====", "AB==", "AAB=", "AA==AAAA"])
      assert.equal(decodeBase64(Buffer.from(text)), undefined, text);
  });
});
