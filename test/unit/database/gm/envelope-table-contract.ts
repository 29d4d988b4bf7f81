import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { describe, it } from "node:test";
import { generateKeyPair } from "../../../../src/crypto/curve.ts";
import { SecretBuffer } from "../../../../src/crypto/secret-buffer.ts";
import { Sm2Recipient } from "../../../../src/crypto/sm2-encryption.ts";
import type { EnvelopeTable, StagedEnvelope } from "../../../../src/database/gm/envelope-table.ts";
import { rewrapAll } from "../../../../src/database/gm/rewrap.ts";
import { type SubKeyOpener, softOpener } from "../../../../src/database/gm/sub-key-envelope.ts";

/** A table that a test made, and how it is opened anew. */
export interface TableUnderTest {
  open(opener: SubKeyOpener): Promise<EnvelopeTable>;
}

/**
 * What every `EnvelopeTable` does, as the change of the master key relies on it.
 *
 * @param make - A new table of at least three sub-keys in envelopes to this public key.
 */
export function describeEnvelopeTable(
  name: string,
  make: (publicKey: Buffer, opener: SubKeyOpener) => Promise<TableUnderTest>,
): void {
  const [oldKey, newKey] = [generateKeyPair("sm2"), generateKeyPair("sm2")];
  const recipient = new Sm2Recipient(newKey.publicKey);

  async function withTable(
    use: (table: EnvelopeTable, made: TableUnderTest, opener: SubKeyOpener) => Promise<void> | void,
  ): Promise<void> {
    await using opener = await softOpener(oldKey.scalar, oldKey.publicKey);
    const made = await make(oldKey.publicKey, opener);
    using table = await made.open(opener);
    await use(table, made, opener);
  }

  /** For the sub-key of this number in the table. */
  function newEnvelope(table: EnvelopeTable, number: number): readonly [string, StagedEnvelope] {
    const [name, replaced] = [...table.inForce().envelopes][number] ?? assert.fail("too few sub-keys");
    using subKey = SecretBuffer.random(16);
    const envelope = subKey.expose((bytes) => recipient.encrypt(bytes, "asn1"));
    return [name, { envelope, replaces: hash("sm3", replaced, "buffer") }];
  }

  describe(`the envelope table ${name}`, () => {
    it("shows what is in force, and nothing staged or previous, when it is new", () =>
      withTable((table) => {
        const { publicKey, envelopes } = table.inForce();
        assert.equal(publicKey.equals(oldKey.publicKey), true);
        assert.equal(envelopes.size >= 3, true);
        assert.equal(table.staged(), undefined);
        assert.equal(table.previous(), undefined);
      }));

    it("reads back what is staged, batch after batch, with nothing in force changed", () =>
      withTable((table) => {
        const before = table.inForce();
        table.startStaging(newKey.publicKey);
        assert.equal(table.staged()?.publicKey.equals(newKey.publicKey), true);
        assert.equal(table.staged()?.envelopes.size, 0);
        const made = [0, 1, before.envelopes.size - 1].map((number) => newEnvelope(table, number));
        for (const each of made) table.stage(new Map([each]));
        assert.deepEqual(new Map(table.staged()?.envelopes), new Map(made));
        assert.deepEqual(table.inForce(), before);
      }));

    it("keeps what is staged for who opens it next, until staging is begun anew", () =>
      withTable(async (table, made, opener) => {
        table.startStaging(newKey.publicKey);
        const [name, staged] = newEnvelope(table, 1);
        table.stage(new Map([[name, staged]]));
        table[Symbol.dispose]();
        using again = await made.open(opener);
        assert.deepEqual(again.staged()?.envelopes.get(name), staged);
        again.startStaging(newKey.publicKey);
        assert.equal(again.staged()?.envelopes.size, 0);
      }));

    it("is open once at a time", () =>
      withTable(async (_table, made, opener) => {
        await assert.rejects(made.open(opener), { code: "ENVELOPE_TABLE_BUSY" });
      }));

    it("comes under the new key whole, and opens with either key until the former envelopes are dropped", () =>
      withTable(async (table, made, opener) => {
        await using newOpener = await softOpener(newKey.scalar, newKey.publicKey);
        const before = table.inForce();
        const stop = () => {
          throw new Error("stopped");
        };
        const stopped = rewrapAll(table, { opener, newPublicKey: newKey.publicKey, onInForce: stop });
        await assert.rejects(stopped, /stopped/);
        table[Symbol.dispose]();
        for (const key of [opener, newOpener]) {
          using again = await made.open(key);
          assert.equal(again.inForce().publicKey.equals(newKey.publicKey), true);
          assert.deepEqual([...again.inForce().envelopes.keys()].sort(), [...before.envelopes.keys()].sort());
          assert.deepEqual(again.previous(), before);
          assert.equal(again.staged(), undefined);
        }
        {
          using again = await made.open(newOpener);
          again.dropPrevious();
          assert.equal(again.previous(), undefined);
        }
        await assert.rejects(made.open(opener), { code: "MASTER_KEY_MISMATCH" });
        await mustAllOpen(made, newOpener);
      }));
  });
}

async function mustAllOpen(made: TableUnderTest, opener: SubKeyOpener): Promise<void> {
  using table = await made.open(opener);
  for (const [name, envelope] of table.inForce().envelopes) {
    using subKey = await opener.open(envelope);
    assert.notEqual(subKey, undefined, name);
  }
}
