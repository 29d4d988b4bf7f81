import { chainStart } from "../audit/chain.ts";
import { CustodyError } from "../errors.ts";
import type { StoredHead } from "../store/store.ts";
import type { Authenticator } from "./authenticator.ts";

/** The head of a store that holds nothing yet. */
export function emptyHead(stateTag: Uint8Array, authenticator: Authenticator): StoredHead {
  return sealHead(
    { epoch: 0, stateVersion: 0, stateTag, sequence: 0, auditHash: chainStart, latestMs: 0 },
    authenticator,
  );
}

export function sealHead(head: Omit<StoredHead, "mac">, authenticator: Authenticator): StoredHead {
  return { ...head, mac: authenticator.headMac(head) };
}

/** @throws {CustodyError} `STATE_TAMPERED`. */
export function checkHead(head: StoredHead, authenticator: Authenticator): void {
  if (Buffer.compare(authenticator.headMac(head), head.mac) !== 0)
    throw new CustodyError(
      "STATE_TAMPERED",
      "the head of the store does not authenticate: altered, or under another root key",
    );
}
