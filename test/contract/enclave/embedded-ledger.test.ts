import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "node:test";
import { EmbeddedLedger } from "../../../src/enclave/ledger/embedded/embedded-ledger.ts";
import { policyOf } from "../../../src/enclave/ledger/signature-policy.ts";
import { ledgerContract } from "./ledger-contract.ts";
import { callTrial, trialName, trialVersion } from "./trial-chaincode.ts";

for (const peers of [1, 2])
  describe(`an embedded ledger of three organisations with ${peers} peers each`, () => {
    ledgerContract(async () => {
      const folder = mkdtempSync(join(tmpdir(), "ledger-contract-"));
      const mspIds = ["Org1MSP", "Org2MSP", "Org3MSP"];
      const organisations = mspIds.map((mspId) => ({ mspId, peers }));
      const ledger = await EmbeddedLedger.create({ folder, channelId: "trial-channel", organisations });
      ledger.install(trialName, (stub) => callTrial(stub, stub.transaction, stub.args));
      await ledger.define(trialName, { version: trialVersion, sequence: 1n, policy: policyOf(2, mspIds) });
      return {
        ledger,
        client: ledger.identity("Org2MSP", "client"),
        admin: ledger.identity("Org2MSP", "admin"),
        organisations: ledger.organisations,
        [Symbol.asyncDispose]: async () => {
          await ledger[Symbol.asyncDispose]();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    });
  });
