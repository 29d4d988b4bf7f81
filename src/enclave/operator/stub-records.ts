import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { StubJournal } from "../stub/journal.ts";
import { journalFile } from "../stub/stub.ts";
import type { StubRecords } from "./trace.ts";

/**
 * What the stubs of a host's enclaves wrote down; of enclaves whose keys are lost, too, as it is of what happened.
 *
 * @param folder - Of the host's enclaves; it need not be there.
 */
export function readHostRecords(mspId: string, folder: string): readonly StubRecords[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).sort();
  return names.flatMap((name) => readStubRecords(mspId, join(folder, name)));
}

/** None where the enclave's credentials are not there. */
function readStubRecords(mspId: string, folder: string): readonly StubRecords[] {
  const credentials = join(folder, "credentials");
  if (!existsSync(credentials)) return [];
  const { enclaveId } = readCredentials(decodeStrict(CredentialsSchema, readFileSync(credentials)), "not yet");
  return [{ mspId, enclaveId: enclaveId.text, entries: new StubJournal(join(folder, journalFile)).read() }];
}
