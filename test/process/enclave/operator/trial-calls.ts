import assert from "node:assert/strict";
import { callConfidentially } from "../../../../src/enclave/operator/confidential-call.ts";
import type { RegistryClient } from "../../../../src/enclave/operator/registry-client.ts";
import { endorsingEnclaves } from "../../../../src/enclave/operator/trial-enclaves.ts";
import type { TrialNetwork } from "../../../../src/enclave/operator/trial-network.ts";
import type { Stub } from "../../../../src/enclave/stub/stub.ts";

/** Runs `use` with the agent of an enclave, which is closed afterwards. */
export async function withEnclave<T>(
  network: TrialNetwork,
  organisationNumber: number,
  name: string,
  use: (client: RegistryClient, stub: Stub) => Promise<T>,
): Promise<T> {
  const organisation = network.organisation(organisationNumber);
  const client = await network.client(organisation);
  await using stub = await network.stub(client, organisation, name);
  return await use(client, stub);
}

/** A call by an organisation's admin, in as few enclaves as the chaincode's endorsement policy takes. @returns What it answers */
export async function call(network: TrialNetwork, organisationNumber: number, ...words: string[]): Promise<string> {
  const organisation = network.organisation(organisationNumber);
  const client = await network.client(organisation);
  const { enclaves, isEnough } = await endorsingEnclaves(network, client);
  assert.ok(isEnough, `${enclaves.length} enclaves can run it`);
  await using stack = new AsyncDisposableStack();
  const stubs: Stub[] = [];
  for (const { mspId, name } of enclaves) {
    const host = network.organisationOf(mspId);
    stubs.push(stack.use(await network.stub(await network.client(host), host, name)));
  }
  const identity = network.ledger.identity(organisation.mspId, "admin");
  const answer = await callConfidentially(client, identity, stubs, words);
  return answer.status === 200 ? answer.payload.toString() : answer.message;
}
