import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { StubJournal } from "../stub/journal.ts";
import { journalFile } from "../stub/stub.ts";
import type { StubRecords } from "./trace.ts";

/** What the stub of one enclave wrote down, from its folder; none where the enclave's credentials are not there. */
export function readStubRecords(mspId: string, folder: string): readonly StubRecords[] {
  const credentials = join(folder, "credentials");
  if (!existsSync(credentials)) return [];
  const { enclaveId } = readCredentials(decodeStrict(CredentialsSchema, readFileSync(credentials)), "not yet");
  return [{ mspId, enclaveId: enclaveId.text, entries: new StubJournal(join(folder, journalFile)).read() }];
}
