import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { auction } from "../../../../src/enclave/chaincode/auction.ts";
import type { ConfidentialChaincode } from "../../../../src/enclave/chaincode/confidential-chaincode.ts";
import { EnclaveError } from "../../../../src/enclave/errors.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { readProposal } from "../../../../src/enclave/ledger/proposal.ts";
import {
  type SignedProposal,
  SignedProposalSchema,
} from "../../../../src/enclave/messages/generated/fabric/peer_pb.ts";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import type { RegistryView } from "../../../../src/enclave/operator/registry-view.ts";
import type { Release } from "../../../../src/enclave/process/release.ts";
import { releaseKey } from "../../../../src/enclave/protocol/held-answer.ts";
import type { EnclaveAgent } from "../../../../src/enclave/stub/agent.ts";
import {
  apply,
  BareEnclave,
  chaincodeId,
  channelId,
  client,
  generations,
  propose,
  type Stored,
} from "../chaincode/enclaves.ts";

const bare = [await BareEnclave.make("Org1MSP"), await BareEnclave.make("Org2MSP")] as const;
const patience = { attempts: 3, waitMs: 1 };

/** Peers that apply what they are brought, and two enclaves that a test makes misbehave. */
class World {
  readonly stored: Stored = new Map();
  readonly submitted: string[][] = [];
  readonly releases: Release[] = [];
  /** What each enclave runs. */
  chaincodes: readonly ConfidentialChaincode[] = [auction, auction];
  /** The state that each enclave reads. */
  states: readonly Stored[] = [this.stored, this.stored];
  submit: () => void = () => undefined;
  /** What the own peer says it is, in base64. */
  chaincodeKey: string = generations[1].ekPem.toString("base64");
  /** What the enclaves are shown for what the client proposed. */
  proposal = (signed: SignedProposal): SignedProposal => signed;
  release: (asked: Release, enclave: number) => Buffer = (asked) => keyOf(asked);

  readonly client = new RegistryClient(this.#connection(), "ercc", chaincodeId);
  readonly agents = bare.map((enclave, index) => this.#agent(enclave, index));

  call(...words: string[]) {
    return callConfidentially(this.client, client, this.agents, words, patience);
  }

  #connection(): LedgerConnection {
    const evaluate = async (_: string, transaction: string, [, id]: readonly string[]) => {
      if (transaction === "queryChaincodeEncryptionKey") return Buffer.from(this.chaincodeKey);
      assert.equal(transaction, "queryEnclaveCredentials");
      return Buffer.from(bare.find((one) => one.id === id)?.credentials ?? "");
    };
    const submit = async (_: string, __: string, answers: readonly string[]) => {
      this.submit();
      this.submitted.push([...answers]);
      apply(this.stored, Buffer.from(answers[0] ?? "", "base64"));
      return { txId: "committed", blockNumber: 9n, result: Buffer.alloc(0) };
    };
    return { channelId, mspId: "Org1MSP", evaluate, submit } as unknown as LedgerConnection;
  }

  #agent(enclave: BareEnclave, index: number): EnclaveAgent {
    const invoke = (proposal: Uint8Array) =>
      enclave.invoke(this.proposal(fromBinary(SignedProposalSchema, proposal)), this.states[index] ?? this.stored, {
        chaincode: this.chaincodes[index] ?? auction,
      });
    const release = async (asked: Release) => {
      this.releases.push(asked);
      return this.release(asked, index);
    };
    return { invoke, release } as unknown as EnclaveAgent;
  }
}

const keyOf = ({ commitHash }: Release) => releaseKey(generations[1], commitHash).expose((bytes) => Buffer.from(bytes));
const notYet = () => {
  throw new EnclaveError("NOT_FOUND", "nothing is applied");
};
const refusingEnclave = async () => {
  throw new EnclaveError("NOT_FOUND", "a test");
};
const saying = (text: string): ConfidentialChaincode => ({
  invoke: async ({ state }) => {
    state.put("x", Buffer.from("1"));
    return { status: 200, message: "", payload: Buffer.from(text) };
  },
});

describe("a call of confidential chaincode", () => {
  it("that writes is brought to the peers, and opens by the key that an enclave releases for that block", async () => {
    const world = new World();
    const { payload, txId, blockNumber } = await world.call("create", "lot");
    assert.deepEqual([payload.toString(), txId, blockNumber], ["OK", "committed", 9n]);
    assert.equal(world.submitted[0]?.length, 2);
    assert.deepEqual(
      world.releases.map(({ block, generation }) => [block, generation]),
      [[9n, 2n]],
    );
  });

  it("that writes nothing, or is refused, is not brought to the peers and needs no release", async () => {
    const world = new World();
    await world.call("create", "lot");
    for (const [words, message] of [
      [["eval", "lot"], "AUCTION_STILL_OPEN"],
      [["create", "lot"], "AUCTION_ALREADY_EXISTING"],
    ] as const) {
      const answer = await world.call(...words);
      assert.deepEqual([answer.message, answer.txId, answer.blockNumber], [message, undefined, undefined]);
    }
    assert.deepEqual([world.submitted.length, world.releases.length], [1, 1]);
  });

  it("is refused with an answer to another proposal than its own, though it is to the same request", async () => {
    const world = new World();
    await world.call("create", "lot");
    world.proposal = (signed) => {
      const [, request = ""] = readProposal(signed.proposalBytes).args.map((arg) => Buffer.from(arg).toString());
      return propose([request]).signed;
    };
    await assert.rejects(world.call("eval", "lot"), { code: "REPLAY" });
  });

  it("goes to the key and by the credentials of the view that is given, whatever the own peer says", async () => {
    const world = new World();
    const view = new RegistryClient(world.client.connection, "ercc", chaincodeId);
    world.chaincodeKey = generations[0].ekPem.toString("base64").replace("A", "B");
    await assert.rejects(world.call("create", "lot"), { name: /Error/ });
    assert.equal(world.submitted.length, 0);
    const believed: RegistryView = {
      chaincodeEncryptionKey: async () => generations[1].ekPem,
      requireEnclave: (id) => view.requireEnclave(id),
      canEndorse: () => assert.fail("whoever chose the enclaves asks that"),
    };
    const { payload } = await callConfidentially(world.client, client, world.agents, ["create", "lot"], {
      ...patience,
      view: believed,
    });
    assert.equal(payload.toString(), "OK");
    const nobody: RegistryView = { ...believed, requireEnclave: refusingEnclave };
    const call = callConfidentially(world.client, client, world.agents, ["eval", "lot"], { ...patience, view: nobody });
    await assert.rejects(call, { code: "NOT_FOUND" });
  });

  it("asks another enclave, and again, while one does not know of the commit or is gone", async () => {
    const world = new World();
    let asked = 0;
    world.release = (release, enclave) => {
      asked += 1;
      if (enclave === 0) throw new EnclaveError("ENCLAVE_ENDED", "a test");
      return asked < 4 ? notYet() : keyOf(release);
    };
    assert.equal((await world.call("create", "lot")).payload.toString(), "OK");
    assert.equal(asked, 4);
  });

  it("says that it is done where no enclave gives the answer", async () => {
    const world = new World();
    world.release = notYet;
    await assert.rejects(world.call("create", "lot"), { code: "NOT_FOUND", message: /is done, in block 9/ });
    assert.equal(world.releases.length, 6);
    assert.ok(world.stored.has("auction/lot"));
  });

  it("refuses a key that is not of this commit, and what an enclave refuses for good", async () => {
    const world = new World();
    world.release = () => Buffer.alloc(16, 1);
    await assert.rejects(world.call("create", "a"), { code: "BAD_CIPHERTEXT" });
    world.release = () => {
      throw new EnclaveError("WRONG_CONTEXT", "another answer was applied");
    };
    await assert.rejects(world.call("create", "b"), { code: "WRONG_CONTEXT" });
    assert.equal(world.releases.length, 2);
  });

  it("is not brought to the peers where the enclaves read or wrote different values", async () => {
    const world = new World();
    await world.call("create", "lot");
    world.states = [world.stored, new Map()];
    for (const words of [
      ["submit", "lot", "1"],
      ["eval", "lot"],
      ["create", "lot"],
    ])
      await assert.rejects(world.call(...words), { code: "CONFLICT" }, words[0]);
    assert.equal(world.submitted.length, 1);
  });

  it("is refused where enclaves answer differently to the same effect", async () => {
    const world = new World();
    world.chaincodes = [saying("one"), saying("two")];
    await assert.rejects(world.call("any"), { code: "CONFLICT" });
    world.chaincodes = [saying("one"), saying("one")];
    assert.equal((await world.call("any")).payload.toString(), "one");
  });

  it("asks for no release where the peers did not apply it", async () => {
    const world = new World();
    world.submit = () => {
      throw new EnclaveError("CONFLICT", "another call came first");
    };
    await assert.rejects(world.call("create", "lot"), { code: "CONFLICT" });
    assert.equal(world.releases.length, 0);
  });

  it("takes at least one enclave", async () => {
    const world = new World();
    await assert.rejects(callConfidentially(world.client, client, [], ["eval", "lot"]), { code: "SETTINGS_INVALID" });
  });
});
