import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { StubJournal } from "../stub/journal.ts";
import { journalFile } from "../stub/stub.ts";
import type { StubRecords } from "./trace.ts";
import type { TrialNetwork } from "./trial-network.ts";

/** What the stubs of all organisations wrote down; enclaves whose credentials are lost are left out. */
export function readStubRecords(network: TrialNetwork): readonly StubRecords[] {
  return network.organisations.flatMap((organisation) =>
    organisation.enclaves(network.chaincodeId).flatMap((name) => {
      const folder = organisation.enclaveFolder(network.chaincodeId, name);
      const credentials = join(folder, "credentials");
      if (!existsSync(credentials)) return [];
      const { enclaveId } = readCredentials(decodeStrict(CredentialsSchema, readFileSync(credentials)), "not yet");
      const entries = new StubJournal(join(folder, journalFile)).read();
      return [{ mspId: organisation.mspId, enclaveId: enclaveId.text, entries }];
    }),
  );
}
