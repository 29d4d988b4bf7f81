import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { commitHashOf, openHeldAnswer, releaseKey } from "../../../../src/enclave/protocol/held-answer.ts";
import { TestOrganisation } from "../../../fabric/organisation.ts";
import {
  answerAfterCommit,
  answerTo,
  apply,
  ask,
  BareEnclave,
  client,
  generations,
  readAnswer,
  type Stored,
} from "./enclaves.ts";

const enclave = await BareEnclave.make("Org1MSP");

const done = (text: string) => ({ status: 200, message: "", payload: Buffer.from(text) });

/** A chaincode made of one function. */
const chaincodeOf = (invoke: ConfidentialChaincode["invoke"]): ConfidentialChaincode => ({ invoke });

/** An auction that is open on the ledger, with one bid of 777. */
async function openAuction(): Promise<Stored> {
  const ledger: Stored = new Map();
  for (const words of [
    ["create", "lot"],
    ["submit", "lot", "777"],
  ])
    apply(ledger, await enclave.invoke(ask(words).signed, ledger));
  return ledger;
}

describe("a host that shows its enclave another state than the ledger's", () => {
  it("cannot close an auction on a copy and read the leading bid", async () => {
    const onLedger = await openAuction();
    const copy: Stored = new Map(onLedger);
    apply(copy, await enclave.invoke(ask(["close", "lot"]).signed, copy, { onLedger }));
    assert.notDeepEqual(copy, onLedger, "the copy is not closed");
    await assert.rejects(enclave.invoke(ask(["eval", "lot"]).signed, copy, { onLedger }), { code: "REPLAY" });
    const asked = ask(["eval", "lot"]);
    assert.equal(answerTo(asked, await enclave.invoke(asked.signed, onLedger)), "409 AUCTION_STILL_OPEN");
  });

  it("cannot have it believe a value that was there before, or that there is none", async () => {
    const before = await openAuction();
    const onLedger: Stored = new Map(before);
    apply(onLedger, await enclave.invoke(ask(["submit", "lot", "778"]).signed, onLedger));
    for (const shown of [before, new Map()])
      await assert.rejects(enclave.invoke(ask(["eval", "lot"]).signed, shown, { onLedger }), { code: "REPLAY" });
  });

  it("cannot have it believe a value where the ledger has none", async () => {
    const shown = await openAuction();
    const asked = ask(["eval", "lot"]);
    const bytes = await enclave.invoke(asked.signed, shown, { onLedger: new Map() });
    assert.equal(answerTo(asked, bytes), "409 AUCTION_NOT_EXISTING");
  });

  it("gets nothing out of a chaincode that goes on where a read fails", async () => {
    const onLedger = await openAuction();
    const careless = chaincodeOf(async ({ state }) => {
      const value = await state.get("auction/lot").catch(() => undefined);
      return done(value === undefined ? "told only where there is no lot" : "");
    });
    const call = enclave.invoke(ask(["any"]).signed, new Map(), { onLedger, chaincode: careless });
    await assert.rejects(call, { code: "REPLAY" });
  });

  it("gets nothing out of a chaincode that does not wait for a read, and ends no enclave by it", async () => {
    const onLedger = await openAuction();
    const hasty = chaincodeOf(async ({ state }) => {
      void state.get("auction/lot");
      return done("told before the lot was read");
    });
    const call = enclave.invoke(ask(["any"]).signed, new Map(), { onLedger, chaincode: hasty });
    await assert.rejects(call, { code: "REPLAY" });
    const bytes = await enclave.invoke(ask(["any"]).signed, onLedger, { chaincode: hasty });
    assert.deepEqual(
      readAnswer(bytes).fpcRwSet?.rwSet?.reads.map(({ key }) => key),
      ["auction/lot"],
    );
  });

  it("cannot have a query rest on two values that were never there together", async () => {
    const onLedger: Stored = new Map();
    const put = async (...pairs: [string, string][]) => {
      const chaincode = chaincodeOf(async ({ state }) => {
        for (const [key, value] of pairs) state.put(key, Buffer.from(value));
        return done("OK");
      });
      apply(onLedger, await enclave.invoke(ask(["put"]).signed, onLedger, { chaincode }));
    };
    await put(["limit", "shut"], ["secret", "old"]);
    const later = async () => put(["limit", "open"], ["secret", "new"]);
    const inTwoSteps = chaincodeOf(async ({ state }) => {
      const secret = await state.get("secret");
      await later();
      const limit = await state.get("limit");
      return done(`${limit} ${secret}`);
    });
    await assert.rejects(enclave.invoke(ask(["any"]).signed, onLedger, { chaincode: inTwoSteps }), {
      code: "CONFLICT",
    });
    const together = chaincodeOf(async ({ state }) => {
      const [secret, limit] = await Promise.all(["secret", "limit"].map((key) => state.get(key)));
      return done(`${limit} ${secret}`);
    });
    const asked = ask(["any"]);
    assert.equal(answerTo(asked, await enclave.invoke(asked.signed, onLedger, { chaincode: together })), "open new");
  });
});

describe("the answer to a call that writes", () => {
  /** Gives the secret away, and notes that it did. */
  const telling = chaincodeOf(async ({ state }) => {
    const secret = await state.get("secret");
    state.put("told", Buffer.from("yes"));
    return done(`${secret}`);
  });

  async function secretState(): Promise<Stored> {
    const stored: Stored = new Map();
    const chaincode = chaincodeOf(async ({ state }) => {
      state.put("secret", Buffer.from("hidden"));
      return done("");
    });
    apply(stored, await enclave.invoke(ask(["put"]).signed, stored, { chaincode }));
    return stored;
  }

  it("does not open to its client, whatever he has, before it is released", async () => {
    const stored = await secretState();
    const asked = ask(["tell"]);
    const bytes = await enclave.invoke(asked.signed, stored, { chaincode: telling });
    assert.equal(bytes.includes("hidden"), false);
    assert.throws(() => answerTo(asked, bytes), { code: "BAD_CIPHERTEXT" });
    assert.equal(answerAfterCommit(asked, bytes), "hidden");
  });

  it("opens by the key of this commit alone", async () => {
    const stored = await secretState();
    const asked = ask(["tell"]);
    const bytes = await enclave.invoke(asked.signed, stored, { chaincode: telling });
    const { fpcRwSet, encryptedResponse } = readAnswer(bytes);
    assert.ok(fpcRwSet);
    const commitHash = commitHashOf(asked.signed.proposalBytes, fpcRwSet);
    const open = (key: Buffer, hash = commitHash) => openHeldAnswer(key, hash, encryptedResponse);
    const keyOf = (hash: Buffer, generation = generations[1]) =>
      releaseKey(generation, hash).expose((key) => Buffer.from(key));
    // The same proposal, answered over another state.
    apply(stored, await enclave.invoke(ask(["tell"]).signed, stored, { chaincode: telling }));
    const over = readAnswer(await enclave.invoke(asked.signed, await secretState(), { chaincode: telling }));
    assert.ok(over.fpcRwSet);
    const another = commitHashOf(asked.signed.proposalBytes, over.fpcRwSet);
    const otherProposal = commitHashOf(ask(["tell"]).signed.proposalBytes, fpcRwSet);
    for (const [what, key, hash] of [
      ["another state's", keyOf(another), commitHash],
      ["another state's, as if it were of that", keyOf(another), another],
      ["another proposal's", keyOf(otherProposal), commitHash],
      ["another generation's", keyOf(commitHash, generations[0]), commitHash],
      ["the client's own", asked.responseKey.expose((own) => Buffer.from(own)), commitHash],
    ] as const)
      assert.throws(() => open(key, hash), { code: "BAD_CIPHERTEXT" }, what);
    assert.ok(open(keyOf(commitHash)));
  });

  it("is held back also where it deletes, or writes what was there", async () => {
    for (const change of ["delete", "put"] as const) {
      const stored = await secretState();
      const chaincode = chaincodeOf(async ({ state }) => {
        const secret = (await state.get("secret")) ?? Buffer.alloc(0);
        if (change === "delete") state.delete("secret");
        else state.put("secret", secret);
        return done(`${secret}`);
      });
      const asked = ask(["any"]);
      const bytes = await enclave.invoke(asked.signed, stored, { chaincode });
      assert.throws(() => answerTo(asked, bytes), { code: "BAD_CIPHERTEXT" }, change);
    }
  });

  it("is not held back where the chaincode refused, or wrote nothing", async () => {
    for (const status of [200, 409]) {
      const chaincode = chaincodeOf(async ({ state }) => {
        if (status !== 200) state.put("told", Buffer.from("yes"));
        return { ...done("said"), status };
      });
      const asked = ask(["any"]);
      const bytes = await enclave.invoke(asked.signed, new Map(), { chaincode });
      assert.equal(readAnswer(bytes).heldGeneration, 0n);
      assert.doesNotThrow(() => answerTo(asked, bytes));
    }
  });
});

describe("a caller who is no member of the channel", () => {
  it("is not answered, whatever organisation he names", async () => {
    const onLedger = await openAuction();
    const impostors = [
      await (await TestOrganisation.create("Org1MSP")).issue("client", "alice"),
      await (await TestOrganisation.create("Org9MSP")).issue("client", "alice"),
    ];
    for (const by of impostors)
      for (const words of [
        ["eval", "lot"],
        ["submit", "lot", "1"],
      ])
        await assert.rejects(enclave.invoke(ask(words, { by }).signed, onLedger), { code: "UNAUTHORIZED" });
    assert.ok(await enclave.invoke(ask(["eval", "lot"], { by: client }).signed, onLedger));
  });
});
