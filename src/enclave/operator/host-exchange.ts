import { EnclaveError } from "../errors.ts";
import type { LedgerConnection, LedgerIdentity } from "../ledger/ledger.ts";
import { serializeIdentity } from "../ledger/membership.ts";
import type { LedgerExchange } from "../trusted-ledger/exchange.ts";
import type { RegistryClient } from "./registry-client.ts";

/** The ledger enclave's end of a session, for enclaves that were made to trust one. */
export type SessionPeer = (message: Uint8Array) => Promise<Uint8Array>;

/**
 * What an enclave's host does for its view of the ledger: has proposals endorsed that the enclave made, brings records, and
 * hands messages to the ledger enclave.
 */
export function hostExchange(
  client: RegistryClient,
  identity: Pick<LedgerIdentity, "mspId" | "certificate">,
  session?: SessionPeer,
): LedgerExchange {
  const connection: LedgerConnection = client.connection;
  return async (question) => {
    switch (question.kind) {
      case "creator":
        return [serializeIdentity(identity)];
      case "endorse":
        return await connection.endorse(question.proposal, question.organisations);
      case "record": {
        const value = await client.record(question.name);
        return value === undefined ? [] : [value];
      }
      case "session":
        if (session === undefined)
          throw new EnclaveError("LEDGER_UNAVAILABLE", "this host reaches no ledger enclave", {
            hint: "start one, and name it where the enclave's stub is started",
          });
        return [await session(question.message)];
    }
  };
}
