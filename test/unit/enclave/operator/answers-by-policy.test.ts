import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import { channelPolicies, policyOf, policyReference } from "../../../../src/enclave/ledger/signature-policy.ts";
import {
  ProposalResponseSchema,
  QueryChaincodeDefinitionResultSchema,
  SignedProposalSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { answersByPolicy } from "../../../../src/enclave/operator/answers-by-policy.ts";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import { PeerAnswers } from "../../../../src/enclave/operator/peer-answers.ts";
import { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { readRelease } from "../../../../src/enclave/process/release.ts";
import { releaseKey } from "../../../../src/enclave/protocol/held-answer.ts";
import { apply, BareEnclave, chaincodeId, channelId, client, generations, type Stored } from "../chaincode/enclaves.ts";

const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;
type Msp = (typeof mspIds)[number];
const enclaves = new Map(
  await Promise.all(mspIds.map(async (mspId) => [mspId, await BareEnclave.make(mspId)] as const)),
);
const enclaveOf = (mspId: Msp): BareEnclave => enclaves.get(mspId) ?? assert.fail(mspId);
const refusing = (code: "LEDGER_UNAVAILABLE" | "NOT_FOUND" | "NOT_PROVISIONED") => () => {
  throw new EnclaveError(code, "a test");
};

/** A channel on which each of three peers runs its organisation's enclave, of which a test makes some misbehave. */
class World {
  readonly stored: Stored = new Map();
  /** Organisation and transaction of each proposal that the gateway passed on. */
  readonly asked: string[] = [];
  readonly submitted: (readonly string[])[] = [];
  policy: Buffer = policyOf(2, mspIds);
  withKeys: readonly Msp[] = mspIds;
  endorsing: readonly Msp[] = mspIds;
  commit: () => void = () => undefined;
  readonly answers = new Map<Msp, (proposal: Uint8Array) => Promise<string> | string>();
  readonly releases = new Map<Msp, () => string>();
  readonly #connection = {
    channelId,
    mspId: "Org1MSP",
    evaluate: async (name: string, transaction: string, args: readonly string[]) =>
      name === "_lifecycle" ? this.#definition() : Buffer.from(this.#registry(transaction, args[1] ?? "")),
    submit: async (_: string, __: string, answers: readonly string[]) => {
      this.commit();
      this.submitted.push(answers);
      apply(this.stored, Buffer.from(answers[0] ?? "", "base64"));
      return { txId: "committed", blockNumber: 9n, result: Buffer.alloc(0) };
    },
    endorse: async (proposal: Uint8Array, [mspId]: readonly Msp[]) => {
      const { args } = readProposal(proposal);
      const [transaction = "", ...rest] = args.map((arg) => Buffer.from(arg).toString());
      this.asked.push(`${mspId} ${transaction}`);
      const payload = await this.#peer(mspId ?? "Org1MSP", transaction, rest, proposal);
      const response = { status: 200, message: "", payload: Buffer.from(payload) };
      return [toBinary(ProposalResponseSchema, create(ProposalResponseSchema, { response }))];
    },
  } as unknown as LedgerConnection;

  async call(...words: string[]) {
    await using stack = new AsyncDisposableStack();
    const registry = new RegistryClient(this.#connection, "ercc", chaincodeId);
    const open = async (mspId: string) => new PeerAnswers(this.#connection, client, chaincodeId, mspId);
    const answerers = answersByPolicy(registry, open, stack, registry);
    return await callConfidentially(registry, client, answerers, words, { attempts: 1 });
  }

  /** An enclave's own answer, in base64. */
  async answerOf(mspId: Msp, proposalBytes: Uint8Array, stored = this.stored): Promise<string> {
    const signed = create(SignedProposalSchema, { proposalBytes, signature: await client.sign(proposalBytes) });
    return (await enclaveOf(mspId).invoke(signed, stored, { chaincode: auction })).toString("base64");
  }

  async #peer(mspId: Msp, transaction: string, args: readonly string[], proposal: Uint8Array): Promise<string> {
    if (transaction === "__invoke")
      return await (this.answers.get(mspId)?.(proposal) ?? this.answerOf(mspId, proposal));
    assert.equal(transaction, "__release");
    const { commitHash, block, txId } = readRelease(args.map((arg) => Buffer.from(arg, "base64")));
    assert.deepEqual([block, txId.length], [9n, 64]);
    const key = releaseKey(generations[1], commitHash).expose((bytes) => Buffer.from(bytes).toString("base64"));
    return this.releases.get(mspId)?.() ?? JSON.stringify([key]);
  }

  #definition(): Buffer {
    const result = { version: "AB".repeat(32), sequence: 1n, validationParameter: this.policy };
    const message = create(QueryChaincodeDefinitionResultSchema, result);
    return Buffer.from(toBinary(QueryChaincodeDefinitionResultSchema, message));
  }

  #registry(transaction: string, id: string): string {
    const idsOf = (list: readonly Msp[]) => list.map((mspId) => enclaveOf(mspId).id);
    if (transaction === "queryChaincodeEncryptionKey") return generations[1].ekPem.toString("base64");
    if (transaction === "queryListEnclaveCredentials")
      return JSON.stringify(mspIds.map((mspId) => enclaveOf(mspId).credentials));
    if (transaction === "queryListProvisionedEnclaves") return JSON.stringify(idsOf(this.withKeys));
    if (transaction === "queryEnclaveCredentials")
      return [...enclaves.values()].find((one) => one.id === id)?.credentials ?? "";
    assert.equal(transaction, "canEndorse");
    return `${idsOf(this.endorsing).includes(id)}`;
  }
}

const invoked = (world: World) => world.asked.filter((one) => one.endsWith("__invoke")).map((one) => one.split(" ")[0]);

describe("a call that organisations' peers answer by the endorsement policy", () => {
  it("goes to as few as meet it, the own first, and is opened by one of them after the commit", async () => {
    const world = new World();
    const { payload, txId } = await world.call("create", "lot");
    assert.deepEqual([payload.toString(), txId, world.submitted[0]?.length], ["OK", "committed", 2]);
    assert.deepEqual(world.asked, ["Org1MSP __invoke", "Org2MSP __invoke", "Org1MSP __release"]);
  });

  it("needs no transaction where it only reads", async () => {
    const world = new World();
    await world.call("create", "lot");
    const { message, txId } = await world.call("eval", "lot");
    assert.deepEqual([message, txId, world.submitted.length], ["AUCTION_STILL_OPEN", undefined, 1]);
    assert.equal(world.asked.filter((one) => one.endsWith("__release")).length, 1);
  });

  it("goes to those who hold the keys alone", async () => {
    const world = new World();
    world.withKeys = ["Org3MSP", "Org2MSP"];
    await world.call("create", "lot");
    assert.deepEqual(invoked(world), ["Org2MSP", "Org3MSP"]);
  });

  it("goes to another where one does not answer, or not with an enclave of its own that may endorse", async () => {
    for (const spoil of [
      (world: World) => world.answers.set("Org2MSP", refusing("LEDGER_UNAVAILABLE")),
      (world: World) => world.answers.set("Org2MSP", refusing("NOT_FOUND")),
      (world: World) => world.answers.set("Org2MSP", (proposal) => world.answerOf("Org1MSP", proposal)),
      (world: World) => world.answers.set("Org2MSP", () => "no base64"),
      (world: World) => world.answers.set("Org2MSP", () => "QUJD"),
      (world: World) => world.answers.set("Org2MSP", forged(world)),
      (world: World) => {
        world.endorsing = ["Org1MSP", "Org3MSP"];
      },
    ]) {
      const world = new World();
      spoil(world);
      assert.equal((await world.call("create", "lot")).payload.toString(), "OK", `${spoil}`);
      assert.deepEqual(invoked(world), mspIds, `${spoil}`);
      assert.equal(world.submitted[0]?.length, 2);
    }
  });

  it("is refused by that reason where no organisation answers, and none is asked twice", async () => {
    const world = new World();
    for (const mspId of mspIds) world.answers.set(mspId, refusing("LEDGER_UNAVAILABLE"));
    await assert.rejects(world.call("eval", "lot"), {
      code: "LEDGER_UNAVAILABLE",
      message: /of no organisation answered, and the policy is OutOf\(2, .*; Org1MSP: .*; Org2MSP: .*/,
    });
    // Once two are away, the third cannot meet the policy alone.
    assert.deepEqual(invoked(world), ["Org1MSP", "Org2MSP"]);
  });

  it("is refused where too few answer, for different reasons or because they hold no keys", async () => {
    const world = new World();
    world.answers.set("Org2MSP", refusing("NOT_FOUND"));
    world.answers.set("Org3MSP", refusing("NOT_PROVISIONED"));
    await assert.rejects(world.call("create", "lot"), {
      code: "POLICY_DENIED",
      message: /of Org1MSP answered, .*; Org2MSP: NOT_FOUND: a test; Org3MSP: NOT_PROVISIONED: a test$/,
    });
    for (const withKeys of [[], ["Org3MSP"]] as const) {
      const alone = new World();
      alone.withKeys = withKeys;
      await assert.rejects(alone.call("eval", "lot"), {
        code: "POLICY_DENIED",
        message: /of no organisation answered/,
      });
      assert.deepEqual(alone.asked, []);
    }
    assert.deepEqual([world.submitted.length, world.stored.size], [0, 0]);
  });

  it("is refused under a policy that refers to the channel's, by which peers take nothing over either", async () => {
    const world = new World();
    world.policy = policyReference(channelPolicies.endorsement);
    await assert.rejects(world.call("eval", "lot"), { code: "POLICY_DENIED" });
    assert.deepEqual(world.asked, []);
  });

  it("is refused where the answers differ, and not brought to the peers", async () => {
    const world = new World();
    await world.call("create", "lot");
    world.answers.set("Org2MSP", (proposal) => world.answerOf("Org2MSP", proposal, new Map()));
    for (const words of [
      ["submit", "lot", "1"],
      ["eval", "lot"],
    ])
      await assert.rejects(world.call(...words), { code: "CONFLICT" }, words[0]);
    assert.equal(world.submitted.length, 1);
  });

  it("asks for no release where the commit is refused", async () => {
    for (const code of ["CONFLICT", "POLICY_DENIED", "LEDGER_UNAVAILABLE"] as const) {
      const world = new World();
      world.commit = () => {
        throw new EnclaveError(code, "a test");
      };
      await assert.rejects(world.call("create", "lot"), { code });
      assert.deepEqual(world.asked, ["Org1MSP __invoke", "Org2MSP __invoke"]);
    }
  });

  it("is not opened by what is no list of one key, or another key", async () => {
    for (const [answer, code] of [
      ["{}", "MALFORMED"],
      ["[", "MALFORMED"],
      ["[]", "MALFORMED"],
      ["[1]", "MALFORMED"],
      ['["QUI"]', "MALFORMED"],
      [JSON.stringify([Buffer.alloc(16, 1).toString("base64")]), "BAD_CIPHERTEXT"],
    ] as const) {
      const world = new World();
      for (const mspId of mspIds) world.releases.set(mspId, () => answer);
      await assert.rejects(world.call("create", "lot"), { code }, answer);
    }
  });

  it("does not take an error of this program for an organisation's refusal", async () => {
    const world = new World();
    world.answers.set("Org2MSP", () => {
      throw new TypeError("a mistake");
    });
    await assert.rejects(world.call("eval", "lot"), TypeError);
    assert.deepEqual(invoked(world), ["Org1MSP", "Org2MSP"]);
  });
});

/** Of the second organisation's enclave, with one bit of what it signed turned over. */
function forged(world: World) {
  return async (proposal: Uint8Array) => {
    const bytes = Buffer.from(await world.answerOf("Org2MSP", proposal), "base64");
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
    return bytes.toString("base64");
  };
}
