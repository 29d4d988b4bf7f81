import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type FiscoDoor, startFiscoDoor } from "../../../../src/server/fisco/door.ts";
import { type FakeCustody, fakeCustody, secret } from "../../../fisco-stand-in/fake-custody.ts";
import { fiscoCall } from "../../../fisco-stand-in/raw-exchange.ts";

/**
 * FISCO's IV is the key's own first block, so P1 xor P3 of the decryption of C ‖ 0 ‖ C is that block: two requests to the
 * original give away the SM4 key, or half of the AES key. Filters on what comes out do not help: an attacker only needs
 * to know which requests pass.
 */
for (const mode of ["standard", "sm"] as const) {
  const withDoor = async (attack: (port: number, custody: FakeCustody) => Promise<void>) => {
    const custody = fakeCustody();
    const options = { host: "127.0.0.1", port: 0, mode, superKey: secret("123xyz"), operatorCalls: true };
    const door: FiscoDoor = await startFiscoDoor(custody, { ...options, failureLimit: { burst: 1_000_000 } });
    try {
      await attack(door.address.port, custody);
    } finally {
      await door.close();
    }
  };
  const zeros = "00".repeat(16);

  describe(`the attack on the key as IV, ${mode}`, () => {
    it("never reaches the cipher: the recorded two requests", () =>
      withDoor(async (port, custody) => {
        const made = (await fiscoCall(port, "encDataKey", "A".repeat(16))).dataKey;
        const first = made.slice(0, 32);
        const second = made.slice(32);
        const answer = await fiscoCall(port, "decDataKey", first + zeros + first + first + second);
        assert.deepEqual([answer.error, answer.dataKey], [1, ""]);
        assert.equal(custody.counts.decryptions, 0);
      }));

    it("never reaches the cipher: the same through encWithCipherKey", () =>
      withDoor(async (port, custody) => {
        const made = (await fiscoCall(port, "encDataKey", "A".repeat(16))).dataKey;
        const first = made.slice(0, 32);
        const answer = await fiscoCall(port, "encWithCipherKey", "QQ==", first + zeros + first + made);
        assert.deepEqual([answer.error, answer.dataKey], [1, ""]);
        assert.equal(custody.counts.decryptions, 0);
      }));

    it("never reaches the cipher: variants that aim at a filter for printable data keys", () =>
      withDoor(async (port, custody) => {
        const made = (await fiscoCall(port, "encDataKey", "printable-data-key-0123456789abcdef")).dataKey;
        const blocks = made.match(/.{32}/g) ?? [];
        const [first = "", second = "", last = ""] = [blocks[0], blocks[1], blocks.at(-1)];
        const variants = [first, second, last, first + last, second + last, first + second, zeros + last, made + made];
        for (let bit = 0; bit < 128; bit++) {
          const block = Buffer.from(first, "hex");
          block.writeUInt8(block.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
          variants.push(block.toString("hex") + made.slice(32), made.slice(0, -64) + block.toString("hex") + last);
        }
        for (let guess = 0; guess < 32; guess++)
          variants.push(first + guess.toString(16).padStart(2, "0").repeat(16) + last);
        for (const variant of variants) {
          const answer = await fiscoCall(port, "decDataKey", variant);
          assert.deepEqual([answer.error, answer.dataKey], [1, ""], variant);
        }
        assert.equal(custody.counts.decryptions, 0);
      }));

    it("never reaches the cipher: a cipherDataKey of the other mode or of another super key", () =>
      withDoor(async (port, custody) => {
        const other = mode === "standard" ? "b287d5c483e99ed63ebd361c22a8d7b2" : "ed157f4588b86d61a2e1745efe71e6ea";
        for (const text of [other, "5bf29c5eea3ceb37cc9d61db899ea4f5"])
          assert.equal((await fiscoCall(port, "decDataKey", text)).error, 1);
        assert.equal(custody.counts.decryptions, 0);
      }));
  });
}
