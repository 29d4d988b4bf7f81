import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { SignedProposalSchema } from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { ChaincodeRequestMessageSchema } from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { concealRequest } from "../../../../src/enclave/protocol/request-encryption.ts";
import { generationOfState } from "../../../../src/enclave/protocol/state-encryption.ts";
import {
  type AskedRequest,
  answerAfterCommit,
  answerTo,
  apply,
  ask,
  BareEnclave,
  generations,
  organisation,
  propose,
  readAnswer,
  type Stored,
} from "./enclaves.ts";

const [first, second] = [await BareEnclave.make("Org1MSP"), await BareEnclave.make("Org2MSP")];

function reveal(asked: AskedRequest, bytes: Uint8Array, generation = generations[1]) {
  return readAnswer(bytes).heldGeneration === 0n ? answerTo(asked, bytes) : answerAfterCommit(asked, bytes, generation);
}

describe("a request to confidential chaincode", () => {
  it("is run over decrypted state, and answered to its client alone", async () => {
    const stored: Stored = new Map();
    for (const [words, answer] of [
      [["create", "a"], "OK"],
      [["submit", "a", "1000"], "OK"],
      [["create", "a"], "409 AUCTION_ALREADY_EXISTING"],
      [["eval", "a"], "409 AUCTION_STILL_OPEN"],
    ] as const) {
      const asked = ask(words);
      const bytes = await first.invoke(asked.signed, stored);
      assert.equal(reveal(asked, bytes), answer);
      assert.throws(() => reveal(ask(words), bytes), { code: "BAD_CIPHERTEXT" }, "another client opened the answer");
      apply(stored, bytes);
    }
  });

  it("leaves nothing readable in what is stored, nor in the answer", async () => {
    const stored: Stored = new Map();
    for (const words of [
      ["create", "a"],
      ["submit", "a", "777555333111"],
    ]) {
      const bytes = await first.invoke(ask(words).signed, stored);
      apply(stored, bytes);
      for (const needle of ["777555333111", 'Org1MSP"', "bidder"])
        for (const place of [...stored.values()].map((value) => Buffer.from(value)))
          assert.equal(place.includes(needle), false, `${needle} is readable in the state`);
      assert.equal(bytes.includes("777555333111"), false);
    }
  });

  it("is written alike by two enclaves that hold the same keys", async () => {
    const stored: Stored = new Map();
    const { signed } = ask(["create", "a"]);
    const sets = await Promise.all(
      [first, second].map(async (one) => readAnswer(await one.invoke(signed, stored)).fpcRwSet),
    );
    assert.deepEqual(sets[0], sets[1]);
    const again = readAnswer(await first.invoke(ask(["create", "a"]).signed, stored)).fpcRwSet;
    assert.notDeepEqual(again, sets[0], "another transaction wrote the same bytes");
  });

  it("writes under the generation in force, and reads under those before", async () => {
    const stored: Stored = new Map();
    apply(stored, await first.invoke(ask(["create", "a"], {}, 1).signed, stored, { active: 1n }));
    const asked = ask(["submit", "a", "5"]);
    const bytes = await first.invoke(asked.signed, stored);
    assert.equal(reveal(asked, bytes), "OK");
    apply(stored, bytes);
    assert.equal(generationOfState(stored.get("auction/a") ?? new Uint8Array()), 2n);
    const before = new Map(stored);
    await assert.rejects(
      first.invoke(ask(["submit", "a", "6"], {}, 1).signed, before, { active: 1n, held: [generations[0]] }),
      { code: "NOT_PROVISIONED" },
      "an enclave without the newer generation read what lies under it",
    );
  });

  it("is refused by an enclave that does not hold the generation in force", async () => {
    for (const held of [[], [generations[0]]])
      await assert.rejects(first.invoke(ask(["create", "a"]).signed, new Map(), { held }), { code: "NOT_PROVISIONED" });
  });

  it("is refused when it is encrypted to an older key", async () => {
    await assert.rejects(first.invoke(ask(["create", "a"], {}, 1).signed, new Map()), { code: "BAD_CIPHERTEXT" });
  });

  it("is refused when the host gives a value of another key, an altered one, or none of ours", async () => {
    const stored: Stored = new Map();
    apply(stored, await first.invoke(ask(["create", "a"]).signed, stored));
    const value = Buffer.from(stored.get("auction/a") ?? []);
    const flipped = Buffer.from(value);
    flipped.writeUInt8(flipped.readUInt8(40) ^ 1, 40);
    for (const [key, given, code] of [
      ["auction/b", value, "BAD_CIPHERTEXT"],
      ["auction/a", flipped, "BAD_CIPHERTEXT"],
      ["auction/a", Buffer.from("{}"), "MALFORMED"],
    ] as const)
      await assert.rejects(first.invoke(ask(["eval", key.slice(8)]).signed, new Map([[key, given]])), { code });
  });

  it("is refused when it is for another channel, chaincode or transaction", async () => {
    for (const options of [
      { channel: "ch2" },
      { chaincode: "other" },
      { transaction: "__endorse" },
      { args: [] },
      { args: ["QUJD", "QUJD"] },
    ])
      await assert.rejects(first.invoke(ask(["create", "a"], options).signed, new Map()), { code: "WRONG_CONTEXT" });
  });

  it("is refused in the proposal of another client, who would have said the same unseen", async () => {
    const stored: Stored = new Map();
    apply(stored, await first.invoke(ask(["create", "a"]).signed, stored));
    const bid = encodeArgument(ChaincodeRequestMessageSchema, ask(["submit", "a", "1000"]).message);
    const copier = propose([bid], { by: await organisation.issue("client", "mallory") });
    await assert.rejects(first.invoke(copier.signed, stored), { code: "UNAUTHORIZED" });
    // The client that it is of may propose it anew.
    apply(stored, await first.invoke(propose([bid]).signed, stored));
  });

  it("is run for whoever proposes it where it does not say whose it is, as upstream's clients leave that out", async () => {
    const { message } = concealRequest(generations[1].ekPem, [Buffer.from("create"), Buffer.from("a")]);
    const { signed } = propose([encodeArgument(ChaincodeRequestMessageSchema, message)]);
    assert.equal(readAnswer(await first.invoke(signed, new Map())).heldGeneration, 2n);
  });

  it("is refused when its argument is not canonical base64 of a request", async () => {
    for (const text of ["", "QUJD", "QUJ", "QU JD", "QUI=\n"])
      await assert.rejects(first.invoke(propose([text]).signed, new Map()), { code: "MALFORMED" });
  });

  it("is refused when the proposal is altered anywhere, or signed by another", async () => {
    const { signed } = ask(["create", "a"]);
    const other = await organisation.issue("client", "mallory");
    await assert.rejects(
      first.invoke(
        create(SignedProposalSchema, { ...signed, signature: other.signMessage(signed.proposalBytes) }),
        new Map(),
      ),
      { code: "BAD_SIGNATURE" },
    );
    for (let at = 0; at < signed.proposalBytes.length; at += 97) {
      const proposalBytes = Buffer.from(signed.proposalBytes);
      proposalBytes.writeUInt8(proposalBytes.readUInt8(at) ^ 1, at);
      await assert.rejects(
        first.invoke(create(SignedProposalSchema, { ...signed, proposalBytes }), new Map()),
        (error: { code?: string }) => /^(?:MALFORMED|BAD_SIGNATURE|WRONG_CONTEXT)$/.test(error.code ?? ""),
        `byte ${at}`,
      );
    }
  });

  it("is refused by the chaincode without a write, whatever it had written by then", async () => {
    const asked = ask(["anything"]);
    const writing: ConfidentialChaincode = {
      invoke({ state }) {
        state.put("x", Buffer.from("1"));
        return Promise.resolve({ status: 500, message: "NO", payload: Buffer.alloc(0) });
      },
    };
    const bytes = await first.invoke(asked.signed, new Map(), { chaincode: writing });
    assert.equal(reveal(asked, bytes), "500 NO");
    assert.deepEqual(readAnswer(bytes).fpcRwSet?.rwSet?.writes, []);
  });

  it("is refused where the chaincode fails, without a write and without a word of why", async () => {
    const asked = ask(["anything"]);
    const failing: ConfidentialChaincode = {
      invoke({ state }) {
        state.put("x", Buffer.from("1"));
        throw new TypeError("what it was about");
      },
    };
    const bytes = await first.invoke(asked.signed, new Map(), { chaincode: failing });
    assert.equal(reveal(asked, bytes), "500 CHAINCODE_FAILED");
    assert.deepEqual(readAnswer(bytes).fpcRwSet?.rwSet?.writes, []);
  });
});
