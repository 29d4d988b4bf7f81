import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import type { Member } from "../../../../src/enclave/operator/member.ts";
import {
  exportKeys,
  generate,
  giveWay,
  type Initialised,
  importKeys,
  initialise,
  ownId,
} from "../../../../src/enclave/operator/provisioning.ts";
import { chaincodeStatus, type EnclaveRow } from "../../../../src/enclave/operator/status.ts";
import type { EnclaveAgent } from "../../../../src/enclave/stub/agent.ts";

/** Three organisations on whatever ledger, with ERCC, the private chaincode `auction` and its policy, and no enclave yet. */
export interface FlowConsortium extends AsyncDisposable {
  /** @param number - From 1. */
  member(number: number): Promise<Member>;
}

export interface Host {
  readonly member: Member;
  readonly agent: EnclaveAgent;
}

/** The flow's consortium while its tests run. */
export class Flow implements AsyncDisposable {
  readonly hosts: Host[] = [];
  readonly #consortium: FlowConsortium;

  private constructor(consortium: FlowConsortium) {
    this.#consortium = consortium;
  }

  /** Five hosts of enclaves, none of them created. */
  static async start(consortium: FlowConsortium): Promise<Flow> {
    const flow = new Flow(consortium);
    for (const [organisation, name] of [
      [1, "a"],
      [2, "a"],
      [3, "a"],
      [1, "b"],
      [2, "b"],
    ] as const)
      await flow.addHost(organisation, name);
    return flow;
  }

  host(index: number): Host {
    const found = this.hosts[index];
    assert.ok(found);
    return found;
  }

  async addHost(organisation: number, name: string): Promise<Host> {
    const member = await this.#consortium.member(organisation);
    const made = { member, agent: await member.agent(name) };
    this.hosts.push(made);
    return made;
  }

  async init({ member, agent }: Host): Promise<Initialised> {
    return await initialise(member.client, agent, await member.creation());
  }

  async import({ member, agent }: Host): Promise<void> {
    await importKeys(member.client, agent);
  }

  async call(caller: number, by: readonly number[], ...words: string[]): Promise<string> {
    const { client, identity } = this.host(caller).member;
    const agents = by.map((index) => this.host(index).agent);
    const answer = await callConfidentially(client, identity, agents, words);
    return answer.status === 200 ? answer.payload.toString() : answer.message;
  }

  async states(): Promise<readonly EnclaveRow[]> {
    return (await chaincodeStatus(this.host(0).member.client)).enclaves;
  }

  async closeAgents(): Promise<void> {
    for (const { agent } of this.hosts) await agent[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeAgents();
    await this.#consortium[Symbol.asyncDispose]();
  }
}

/**
 * The document's sequence with three organisations and five enclaves, each a process of its own, and a confidential auction
 * across them. Tests of one ledger's own may follow, and go on where this ends.
 *
 * @returns The flow, from the first test on.
 */
export function runKeyFlow(start: () => Promise<FlowConsortium>): () => Flow {
  let flow: Flow;
  before(async () => {
    flow = await Flow.start(await start());
  });
  after(() => flow?.[Symbol.asyncDispose]());

  it("generates the keys in the first enclave, and tells the others to import them", async () => {
    assert.equal((await flow.init(flow.host(0))).generated, true);
    for (const index of [1, 2, 3, 4]) assert.equal((await flow.init(flow.host(index))).generated, false);
    assert.deepEqual((await flow.states()).map(({ state }) => state).sort(), [
      "provisioned",
      "registered",
      "registered",
      "registered",
      "registered",
    ]);
  });

  it("goes on where it was when it is told to initialise again", async () => {
    const first = flow.host(0);
    assert.deepEqual(await flow.init(first), { enclaveId: ownId(first.agent), generated: true });
    assert.equal((await flow.init(flow.host(1))).generated, false);
  });

  it("refuses keys of a second enclave, which can drop them again and import", async () => {
    const { member, agent } = flow.host(1);
    await assert.rejects(generate(member.client, agent), { code: "ALREADY_SET" });
    assert.deepEqual(await giveWay(agent), [1n]);
    await assert.rejects(giveWay(flow.host(0).agent), { code: "KEYS_EXIST" });
  });

  it("refuses to import what nobody exported, to export what is not held, and to export to itself or to nobody", async () => {
    const [first, second] = [flow.host(0), flow.host(1)];
    await assert.rejects(flow.import(second), { code: "NOT_FOUND" });
    await assert.rejects(exportKeys(second.member.client, second.agent), { code: "NOT_PROVISIONED" });
    const exportTo = (id: string) => exportKeys(first.member.client, first.agent, [id]);
    await assert.rejects(exportTo(ownId(first.agent)), { code: "WRONG_CONTEXT" });
    await assert.rejects(exportTo("0".repeat(64)), { code: "NOT_FOUND" });
  });

  it("refuses an export that the admin of another organisation brings", async () => {
    const [first, second] = [flow.host(0), flow.host(1)];
    const receiver = await first.member.client.requireEnclave(ownId(second.agent));
    await assert.rejects(first.agent.exportCCKeys(receiver.credentials), { code: "NOT_FOUND" });
    const announcement = ["auction", ownId(first.agent), ownId(second.agent), "1"];
    await assert.rejects(second.member.client.submit("announceExport", ...announcement), { code: "UNAUTHORIZED" });
    await first.member.client.submit("announceExport", ...announcement);
    const message = await first.agent.exportCCKeys(receiver.credentials);
    await assert.rejects(second.member.client.submit("putKeyExport", "auction", message), { code: "UNAUTHORIZED" });
  });

  it("exports to all that have none, and each imports", async () => {
    const [first, ...others] = flow.hosts;
    assert.ok(first);
    const exported = await exportKeys(first.member.client, first.agent);
    assert.deepEqual(
      exported.map(({ receiverId }) => receiverId).sort(),
      others.map(({ agent }) => ownId(agent)).sort(),
    );
    for (const host of others) await flow.import(host);
    assert.ok((await flow.states()).every(({ state, generation }) => state === "provisioned" && generation === 1));
    await assert.rejects(exportKeys(first.member.client, first.agent), { code: "NOT_FOUND" });
  });

  it("runs one auction in enclaves of different organisations", async () => {
    assert.equal(await flow.call(0, [0, 1], "create", "lot"), "OK");
    assert.equal(await flow.call(1, [1, 2], "submit", "lot", "100"), "OK");
    assert.equal(await flow.call(2, [3, 2], "submit", "lot", "300"), "OK");
    assert.equal(await flow.call(1, [0, 1], "eval", "lot"), "AUCTION_STILL_OPEN");
    await assert.rejects(
      flow.call(0, [0, 3], "close", "lot"),
      { code: "POLICY_DENIED" },
      "one organisation endorsed for two",
    );
  });

  return () => flow;
}
