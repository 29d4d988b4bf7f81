import { connectAs } from "../../client/identity-folder.ts";
import { EnclaveError } from "../errors.ts";
import type { KeyManagerSettings } from "../tee/key-manager/settings.ts";
import type { Member } from "./member.ts";
import { chaincodeStatus, type EnclaveRow } from "./status.ts";

/**
 * Tells each key manager of the host's enclaves that are under it what the ledger says of them: the table of `fpc status`. What a
 * key manager has of it is the host's word, and as old as this.
 *
 * @returns What went wrong, one text for each enclave that could not be told of: the enclaves themselves are none the worse.
 */
export async function reportEnclaves({ client, keyManagers }: Member): Promise<readonly string[]> {
  const managed = keyManagers?.enclaves() ?? [];
  if (managed.length === 0) return [];
  const { enclaves, channelId, chaincodeId } = await chaincodeStatus(client);
  const problems: string[] = [];
  for (const { id, name, keyManager } of managed) {
    const row = enclaves.find((one) => one.id === id);
    // The key manager has the use of its key on record; where it stands is told once it stands there.
    if (row === undefined) continue;
    try {
      await report(keyManager, channelId, chaincodeId, row);
    } catch (error) {
      problems.push(`the key manager was not told of enclave ${name}: ${(error as Error).message}`);
    }
  }
  return problems;
}

async function report(
  { servers, identity }: KeyManagerSettings,
  channel: string,
  chaincode: string,
  { id, mspId, measurement, state, generation }: EnclaveRow,
): Promise<void> {
  using client = connectAs(
    identity,
    servers,
    (message, { hint, cause }) => new EnclaveError("SETTINGS_INVALID", message, { hint, cause }),
  );
  await client.reportEnclave({
    enclave: id,
    organisation: mspId,
    channel,
    chaincode,
    measurement,
    state,
    generation: generation ?? null,
  });
}
