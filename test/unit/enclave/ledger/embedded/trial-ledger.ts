import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Chaincode } from "../../../../../src/enclave/ledger/embedded/chaincode.ts";
import { EmbeddedLedger } from "../../../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { policyOf } from "../../../../../src/enclave/ledger/signature-policy.ts";
import { callTrial } from "../../../../contract/enclave/trial-chaincode.ts";

export const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"] as const;
export const trialName = "trial";

export const trial: Chaincode = (stub) => callTrial(stub, stub.transaction, stub.args);

/** A folder that is removed at the end of its test. */
export class TrialFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "embedded-ledger-"));

  /** Three organisations with one peer each, two of which endorse the trial chaincode. */
  async create(): Promise<EmbeddedLedger> {
    const organisations = mspIds.map((mspId) => ({ mspId, peers: 1 }));
    const ledger = await EmbeddedLedger.create({ folder: this.path, channelId: "trial", organisations });
    ledger.install(trialName, trial);
    await ledger.define(trialName, { version: "1.0", sequence: 1n, policy: policyOf(2, mspIds) });
    return ledger;
  }

  async open(): Promise<EmbeddedLedger> {
    const ledger = await EmbeddedLedger.open(this.path);
    ledger.install(trialName, trial);
    return ledger;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What an organisation's peer says is written under a key of the trial chaincode. */
export async function valueAt(ledger: EmbeddedLedger, mspId: string, key: string): Promise<string> {
  await using connection = await ledger.connect(ledger.identity(mspId, "client"));
  return (await connection.evaluate(trialName, "get", [key])).toString();
}

export async function put(ledger: EmbeddedLedger, mspId: string, key: string, value: string): Promise<void> {
  await using connection = await ledger.connect(ledger.identity(mspId, "client"));
  await connection.submit(trialName, "put", [key, value]);
}
