import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compositeKey, recordTypes } from "../../../../src/enclave/ercc/registry-state.ts";
import type { LedgerConnection } from "../../../../src/enclave/ledger/ledger.ts";
import { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { quorumView, type RegistryView } from "../../../../src/enclave/operator/registry-view.ts";
import { BareEnclave, chaincodeId, client, generations } from "../chaincode/enclaves.ts";
import {
  type AnsweringPeer,
  channelId,
  erccName,
  type HeldRecord,
  newOrganisation,
  newPeer,
} from "../trusted-ledger/answering-peers.ts";

const [real, others] = generations;
const enclave = await BareEnclave.make("Org1MSP");
const held = (ek: Buffer) =>
  new Map<string, HeldRecord>([
    [compositeKey({ type: recordTypes.chaincodeEk, attributes: [chaincodeId] }), { value: ek, block: 7n }],
    [
      compositeKey({ type: recordTypes.credentials, attributes: [chaincodeId, enclave.id] }),
      { value: Buffer.from(enclave.credentials), block: 5n },
    ],
  ]);
const organisations = await Promise.all(["Org1MSP", "Org2MSP", "Org3MSP"].map(newOrganisation));
const peerOf = (organisation: (typeof organisations)[number], ek = real.ekPem) => newPeer(organisation, held(ek));
const honest = await Promise.all(organisations.map((one) => peerOf(one)));
const lying = await Promise.all(organisations.map((one) => peerOf(one, others.ekPem)));
const [honest1, honest2, honest3] = honest;
const [lying1, , lying3] = lying;
assert.ok(honest1 && honest2 && honest3 && lying1 && lying3);

/** What a caller of organisation 1 sees, whose own peer's word is never taken alone: it is not even asked. */
function viewOf(peers: readonly AnsweringPeer[], quorum = 2): RegistryView {
  const connection = {
    channelId,
    mspId: "Org1MSP",
    evaluate: () => assert.fail("the own peer alone was asked"),
    endorse: async (proposal: Uint8Array) => peers.map((peer) => peer.answer(proposal)),
  } as unknown as LedgerConnection;
  const registry = new RegistryClient(connection, erccName, chaincodeId);
  return quorumView(registry, client, { organisations, quorum });
}

describe("the registry as a caller sees it who believes a quorum", () => {
  it("is what peers of enough organisations say alike: key, credentials, and who endorses", async () => {
    const view = viewOf(honest);
    assert.deepEqual(await view.chaincodeEncryptionKey(), real.ekPem);
    const { enclaveId, mspId } = await view.requireEnclave(enclave.id);
    assert.deepEqual([enclaveId.text, mspId], [enclave.id, "Org1MSP"]);
    assert.equal(await view.canEndorse(enclave.id), true);
  });

  it("is not what the own peer says otherwise than they do", async () => {
    assert.deepEqual(await viewOf([lying1, honest2, honest3]).chaincodeEncryptionKey(), real.ekPem);
  });

  it("is nothing where too few say the same", async () => {
    const refused = async (peers: readonly AnsweringPeer[], quorum?: number) =>
      await assert.rejects(viewOf(peers, quorum).chaincodeEncryptionKey(), { name: "EnclaveError" });
    await refused([lying1]);
    await refused([lying1, lying1, lying1]);
    await refused([lying1, honest2]);
    await refused([honest1, honest2], 3);
    await refused([]);
    // By the name of one of them, and of none.
    const impostor = await peerOf(await newOrganisation("Org2MSP"), others.ekPem);
    const stranger = await peerOf(await newOrganisation("Org9MSP"), others.ekPem);
    await refused([lying1, impostor, stranger]);
  });

  it("knows no key where none is registered, and no enclave that is not", async () => {
    const empty = await Promise.all(organisations.map((one) => newPeer(one, new Map())));
    assert.equal(await viewOf(empty).chaincodeEncryptionKey(), undefined);
    await assert.rejects(viewOf(honest).requireEnclave("AB".repeat(32)), { code: "NOT_FOUND" });
  });

  it("has no other enclave's credentials under an id, whoever shows them", async () => {
    const [id, other] = ["AB".repeat(32), Buffer.from(enclave.credentials)];
    const name = { type: recordTypes.credentials, attributes: [chaincodeId, id] };
    const swapped = new Map([[compositeKey(name), { value: other, block: 5n }]]);
    const peers = await Promise.all(organisations.map((one) => newPeer(one, swapped)));
    await assert.rejects(viewOf(peers).requireEnclave(id), { code: "WRONG_CONTEXT" });
    const connection = { channelId, mspId: "Org1MSP", evaluate: async () => other } as unknown as LedgerConnection;
    const believing = new RegistryClient(connection, erccName, chaincodeId);
    await assert.rejects(believing.requireEnclave(id), { code: "WRONG_CONTEXT" });
    assert.equal((await believing.requireEnclave(enclave.id)).enclaveId.text, enclave.id);
  });

  it("is refused with a quorum that the organisations cannot give", () => {
    for (const quorum of [0, 4, 1.5]) assert.throws(() => viewOf(honest, quorum), { code: "SETTINGS_INVALID" });
  });
});
