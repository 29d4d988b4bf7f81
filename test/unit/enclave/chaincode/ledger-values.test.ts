import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { LedgerValues } from "../../../../src/enclave/chaincode/ledger-values.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";

/** A ledger and a host, both plain; a test may have something happen before an answer. */
class Source {
  readonly ledger = new Map<string, string>();
  /** Where it is undefined, the host shows what the ledger has. */
  shown: Map<string, string> | undefined;
  readonly questions: string[][] = [];
  before: (question: number) => void = () => undefined;

  values(attempts = 1): LedgerValues {
    return new LedgerValues({
      stored: async (key) => {
        const value = (this.shown ?? this.ledger).get(key);
        return value === undefined ? undefined : Buffer.from(value);
      },
      hashes: async (keys) => {
        this.questions.push([...keys]);
        this.before(this.questions.length);
        return keys.map((key) => {
          const value = this.ledger.get(key);
          return value === undefined ? undefined : createHash("sha256").update(value).digest();
        });
      },
      attempts,
      waitMs: 1,
    });
  }
}

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();

describe("values of the state that are the ledger's", () => {
  it("are asked of it together where they are asked for together", async () => {
    const source = new Source();
    source.ledger.set("a", "1").set("b", "2");
    const values = source.values();
    const read = await Promise.all(["a", "none", "b"].map((key) => values.read(key)));
    assert.deepEqual(read.map(text), ["1", undefined, "2"]);
    await values.read("c");
    assert.deepEqual(source.questions, [["a", "none", "b"], ["c"]]);
  });

  it("are taken once host and ledger are at the same block", async () => {
    for (const [before, after] of [
      [new Map(), new Map([["a", "1"]])],
      [new Map([["a", "0"]]), new Map([["a", "1"]])],
    ]) {
      const source = new Source();
      source.ledger.set("a", "1");
      source.shown = before;
      source.before = (question) => {
        if (question === 2) source.shown = after;
      };
      assert.equal(text(await source.values(3).read("a")), "1");
    }
  });

  it("come in the newer form where the ledger comes after the host", async () => {
    const source = new Source();
    source.shown = new Map([["a", "1"]]);
    source.before = (question) => {
      if (question === 2) source.ledger.set("a", "1");
    };
    assert.equal(text(await source.values(2).read("a")), "1");
    assert.equal(source.questions.length, 2);
  });

  it("need no second look where they were read at one time", async () => {
    const source = new Source();
    const values = source.values();
    await values.requireOneTime();
    await Promise.all(["a", "b"].map((key) => values.read(key)));
    source.ledger.set("a", "changed");
    await values.requireOneTime();
    assert.equal(source.questions.length, 1);
  });

  it("are of one time if none has changed at the end", async () => {
    const source = new Source();
    source.ledger.set("a", "1");
    const values = source.values();
    for (const key of ["a", "b"]) await values.read(key);
    await values.requireOneTime();
    assert.deepEqual(source.questions.at(-1), ["a", "b"]);
  });
});

describe("values of the state are refused", () => {
  it("that are not the ledger's, or are kept back", async () => {
    for (const shown of [new Map([["a", "2"]]), new Map([["a", ""]]), new Map()]) {
      const source = new Source();
      source.ledger.set("a", "1");
      source.shown = shown;
      await assert.rejects(source.values(2).read("a"), { code: "REPLAY" });
      assert.equal(source.questions.length, 2);
    }
  });

  it("together with one that is not the ledger's", async () => {
    const source = new Source();
    source.ledger.set("a", "1").set("b", "2");
    source.shown = new Map([
      ["a", "1"],
      ["b", "3"],
    ]);
    const values = source.values();
    const read = await Promise.allSettled(["a", "b"].map((key) => values.read(key)));
    assert.deepEqual(
      read.map(({ status }) => status),
      ["rejected", "rejected"],
    );
  });

  it("which changed, came or went between the first read and the last", async () => {
    for (const [was, is] of [
      ["1", "2"],
      ["1", undefined],
      [undefined, "1"],
    ]) {
      const source = new Source();
      if (was !== undefined) source.ledger.set("a", was);
      const values = source.values();
      await values.read("a");
      if (is === undefined) source.ledger.delete("a");
      else source.ledger.set("a", is);
      await values.read("b");
      await assert.rejects(values.requireOneTime(), { code: "CONFLICT" });
    }
  });

  it("where the trusted ledger does not answer, or for another number of keys", async () => {
    const source = new Source();
    source.before = () => {
      throw new EnclaveError("LEDGER_UNAVAILABLE", "a test");
    };
    await assert.rejects(source.values(3).read("a"), { code: "LEDGER_UNAVAILABLE" });
    const values = new LedgerValues({ stored: async () => undefined, hashes: async () => [] });
    await assert.rejects(values.read("a"), { code: "MALFORMED" });
  });
});
