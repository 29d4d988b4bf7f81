import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { type EndorsementState, endorseResponses } from "../../../../src/enclave/ecc/endorse.ts";
import { policyOf } from "../../../../src/enclave/ledger/signature-policy.ts";
import { encodeArgument } from "../../../../src/enclave/messages/argument.ts";
import { ChaincodeKeyStateSchema } from "../../../../src/enclave/messages/generated/fpc/ercc_pb.ts";
import {
  ChaincodeResponseMessageSchema,
  type SignedChaincodeResponseMessage,
  SignedChaincodeResponseMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/fpc_pb.ts";
import { appliedKey, commitHashOf } from "../../../../src/enclave/protocol/held-answer.ts";
import {
  ask,
  BareEnclave,
  chaincodeId,
  channelId,
  client,
  organisation,
  readAnswer,
  type Stored,
} from "../chaincode/enclaves.ts";

const [first, second, third] = [
  await BareEnclave.make("Org1MSP"),
  await BareEnclave.make("Org2MSP"),
  await BareEnclave.make("Org2MSP"),
];

/** A peer's view, with a registry that says what the test tells it to. */
class Peer implements EndorsementState {
  channelId: string = channelId;
  chaincodeId: string = chaincodeId;
  creator: Uint8Array = client.serialized;
  policy = policyOf(2, ["Org1MSP", "Org2MSP"]);
  isDefined = true;
  keyState = { active: 2n, proposed: 0n, rotateAbove: 0n };
  readonly state: Stored = new Map();
  readonly registered: BareEnclave[] = [first, second, third];
  readonly provisioned = new Set([first.id, second.id, third.id]);
  readonly denied = new Set<string>();

  get(key: string) {
    return Promise.resolve(this.state.get(key));
  }

  put(key: string, value: Uint8Array) {
    this.state.set(key, value);
    return Promise.resolve();
  }

  delete(key: string) {
    this.state.delete(key);
    return Promise.resolve();
  }

  definition() {
    return Promise.resolve(
      this.isDefined ? { version: "AB".repeat(32), sequence: 1n, validationParameter: this.policy } : undefined,
    );
  }

  registry(transaction: string, args: readonly string[]): Promise<string> {
    const id = args.at(-1) ?? "";
    switch (transaction) {
      case "queryEnclaveCredentials":
        return Promise.resolve(this.registered.find((one) => one.id === id)?.credentials ?? "");
      case "queryState":
        if (args[0] === "namespaces/key_state") {
          assert.deepEqual(args.slice(1), [chaincodeId]);
          const text = encodeArgument(ChaincodeKeyStateSchema, create(ChaincodeKeyStateSchema, this.keyState));
          return Promise.resolve(Buffer.from(text, "latin1").toString("base64"));
        }
        assert.deepEqual(args.slice(0, 2), ["namespaces/provisioned", chaincodeId]);
        return Promise.resolve(this.provisioned.has(id) ? "QUJD" : "");
      case "canEndorse":
        return Promise.resolve(this.denied.has(id) ? "false" : "true");
      default:
        throw new Error(`the registry has no ${transaction}`);
    }
  }

  /** @throws what it is refused with, having checked that nothing was written */
  async endorse(...responses: readonly (Uint8Array | string)[]): Promise<string> {
    const before = new Map(this.state);
    try {
      return await endorseResponses(
        this,
        responses.map((one) => (typeof one === "string" ? one : Buffer.from(one).toString("base64"))),
      );
    } catch (error) {
      assert.deepEqual(this.state, before, "a refused transaction wrote");
      throw error;
    }
  }
}

const both = async (peer: Peer, words: readonly string[]) => {
  const { signed } = ask(words);
  return [await first.invoke(signed, peer.state), await second.invoke(signed, peer.state)] as const;
};

function altered(bytes: Uint8Array, change: (signed: SignedChaincodeResponseMessage) => void): Buffer {
  const signed = fromBinary(SignedChaincodeResponseMessageSchema, bytes);
  change(signed);
  return Buffer.from(toBinary(SignedChaincodeResponseMessageSchema, signed));
}

describe("the endorsement of enclaves' answers", () => {
  it("applies what two enclaves wrote alike, and gives the answer for the client", async () => {
    const peer = new Peer();
    const answers = await both(peer, ["create", "a"]);
    assert.match(await peer.endorse(...answers), /^[A-Za-z0-9+/]+=*$/);
    assert.ok(peer.state.has("auction/a"));
    await peer.endorse(...(await both(peer, ["submit", "a", "10"])));
  });

  it("notes what was applied, by which enclaves know of the commit", async () => {
    const peer = new Peer();
    const { signed, txId } = ask(["create", "a"]);
    const answers = [await first.invoke(signed, peer.state), await second.invoke(signed, peer.state)];
    await peer.endorse(...answers);
    const { fpcRwSet } = readAnswer(answers[0] ?? Buffer.alloc(0));
    assert.ok(fpcRwSet);
    assert.deepEqual(peer.state.get(appliedKey(txId)), commitHashOf(signed.proposalBytes, fpcRwSet));
  });

  it("takes the answer of one enclave where the policy asks for one organisation", async () => {
    const peer = new Peer();
    const [answer] = await both(peer, ["create", "a"]);
    await assert.rejects(peer.endorse(answer), { code: "POLICY_DENIED" });
    peer.policy = policyOf(1, ["Org1MSP", "Org2MSP"]);
    await peer.endorse(answer);
  });

  it("counts an organisation once, however many enclaves it has", async () => {
    const peer = new Peer();
    const { signed } = ask(["create", "a"]);
    const answers = await Promise.all([second, third].map((one) => one.invoke(signed, peer.state)));
    await assert.rejects(peer.endorse(...answers), { code: "POLICY_DENIED" });
  });

  it("applies an answer once", async () => {
    const peer = new Peer();
    peer.policy = policyOf(1, ["Org1MSP"]);
    const blind: ConfidentialChaincode = {
      invoke({ state }) {
        state.put("x", Buffer.from("1"));
        return Promise.resolve({ status: 200, message: "", payload: Buffer.alloc(0) });
      },
    };
    const answer = await first.invoke(ask(["anything"]).signed, peer.state, { chaincode: blind });
    await peer.endorse(answer);
    peer.state.delete("x");
    await assert.rejects(peer.endorse(answer), { code: "REPLAY" });
  });

  it("refuses an answer that rests on a value that has changed since, or that the host made up", async () => {
    const peer = new Peer();
    const answers = await both(peer, ["create", "a"]);
    await peer.endorse(...answers);
    const [bid, later] = [await both(peer, ["submit", "a", "1"]), await both(peer, ["submit", "a", "2"])];
    await peer.endorse(...bid);
    await assert.rejects(peer.endorse(...later), { code: "CONFLICT" });
    const { signed } = ask(["create", "a"]);
    const blindHost: Stored = new Map();
    const misled = await Promise.all([first, second].map((one) => one.invoke(signed, blindHost)));
    await assert.rejects(peer.endorse(...misled), { code: "CONFLICT" });
  });

  it("refuses answers that differ, and two of the same enclave", async () => {
    const peer = new Peer();
    const [one, other] = [ask(["create", "a"]), ask(["create", "a"])];
    const answers = [await first.invoke(one.signed, peer.state), await second.invoke(other.signed, peer.state)];
    await assert.rejects(peer.endorse(...answers), { code: "CONFLICT" });
    const same = await Promise.all([first, first].map((enclave) => enclave.invoke(one.signed, peer.state)));
    await assert.rejects(peer.endorse(...same), { code: "MALFORMED" });
  });

  it("refuses an enclave that is not registered, holds no keys, or may not endorse", async () => {
    for (const [code, change] of [
      ["NOT_REGISTERED", (peer: Peer) => peer.registered.splice(1, 1)],
      ["NOT_PROVISIONED", (peer: Peer) => peer.provisioned.delete(second.id)],
      ["POLICY_DENIED", (peer: Peer) => peer.denied.add(second.id)],
      ["NOT_FOUND", (peer: Peer) => Object.assign(peer, { isDefined: false })],
    ] as const) {
      const peer = new Peer();
      const answers = await both(peer, ["create", "a"]);
      change(peer);
      await assert.rejects(peer.endorse(...answers), { code });
    }
  });

  it("refuses an answer that was kept back until the keys were rotated, or an enclave was revoked", async () => {
    for (const keyState of [
      { active: 3n, proposed: 0n, rotateAbove: 0n },
      { active: 2n, proposed: 0n, rotateAbove: 2n },
      { active: 1n, proposed: 2n, rotateAbove: 0n },
    ]) {
      const peer = new Peer();
      const answers = await both(peer, ["create", "a"]);
      Object.assign(peer, { keyState });
      await assert.rejects(peer.endorse(...answers), { code: "POLICY_DENIED" });
    }
  });

  it("refuses an answer to another client's proposal, of another channel or of another chaincode", async () => {
    const peer = new Peer();
    const answers = await both(peer, ["create", "a"]);
    const mallory = await organisation.issue("client", "mallory");
    for (const [code, change] of [
      ["UNAUTHORIZED", { creator: mallory.serialized }],
      ["WRONG_CONTEXT", { channelId: "ch2" }],
      ["WRONG_CONTEXT", { chaincodeId: "other" }],
    ] as const) {
      const other = new Peer();
      Object.assign(other, change);
      await assert.rejects(other.endorse(...answers), { code });
    }
    await peer.endorse(...answers);
  });

  it("refuses an answer of which any field is altered", async () => {
    const peer = new Peer();
    peer.policy = policyOf(1, ["Org1MSP"]);
    const [answer] = await both(peer, ["create", "a"]);
    const inMessage = (change: (message: ReturnType<typeof read>) => void) =>
      altered(answer, (signed) => {
        const message = read(signed);
        change(message);
        signed.chaincodeResponseMessage = toBinary(ChaincodeResponseMessageSchema, message);
      });
    const read = (signed: SignedChaincodeResponseMessage) =>
      fromBinary(ChaincodeResponseMessageSchema, signed.chaincodeResponseMessage);
    const flip = (bytes: Uint8Array) => {
      const copy = Buffer.from(bytes);
      copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1);
      return copy;
    };
    const forged: readonly (readonly [string, Buffer])[] = [
      ["signature", altered(answer, (signed) => Object.assign(signed, { signature: flip(signed.signature) }))],
      [
        "answer",
        inMessage((message) => Object.assign(message, { encryptedResponse: flip(message.encryptedResponse) })),
      ],
      [
        "request",
        inMessage((m) => Object.assign(m, { chaincodeRequestMessageHash: flip(m.chaincodeRequestMessageHash) })),
      ],
      ["hashes", inMessage((m) => m.fpcRwSet?.readValueHashes.splice(0, 1, Buffer.alloc(32)))],
      ["fewer hashes", inMessage((m) => m.fpcRwSet?.readValueHashes.pop())],
      ["writes", inMessage((m) => m.fpcRwSet?.rwSet?.writes.pop())],
      ["reads", inMessage((m) => m.fpcRwSet?.rwSet?.reads.pop())],
      ["enclave", inMessage((m) => Object.assign(m, { enclaveId: third.id }))],
      [
        "proposal",
        inMessage((m) => Object.assign(m.proposal ?? {}, { proposalBytes: flip(m.proposal?.proposalBytes ?? answer) })),
      ],
    ];
    for (const [field, bytes] of forged) await assert.rejects(peer.endorse(bytes), /./, `${field} was altered`);
    await peer.endorse(answer);
  });

  it("refuses no answer, too many, and what is none", async () => {
    const peer = new Peer();
    for (const texts of [[], Array<string>(17).fill("QUJD"), [""], ["QUJD"], ["not base64"]])
      await assert.rejects(peer.endorse(...texts), { code: "MALFORMED" });
    const empty = toBinary(SignedChaincodeResponseMessageSchema, create(SignedChaincodeResponseMessageSchema));
    await assert.rejects(peer.endorse(empty), { code: "MALFORMED" });
  });
});
