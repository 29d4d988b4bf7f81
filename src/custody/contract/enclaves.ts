import type { Caller } from "../service.ts";

/** An enclave's id: 64 upper-case hex digits. */
export const enclaveIdPattern: RegExp = /^[0-9A-F]{64}$/;
/** What an enclave's code hashes to: SHA-256 or SHA-384, upper-case hex digits. */
export const enclaveMeasurementPattern: RegExp = /^(?:[0-9A-F]{64}|[0-9A-F]{96})$/;
/** Names of organisations, channels and chaincodes: 1 to 249 letters, digits or `._-`, beginning with a letter or digit. */
export const enclaveNamePattern: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$/;
/** A host has few enclaves; those that are no more are forgotten by an administrator. */
export const maxEnclavesOfNode = 64;

/** Where an enclave stands on its ledger: there without the chaincode's keys, with them, left behind by the chaincode's definition, or put out. */
export const enclaveStates = ["registered", "provisioned", "former", "revoked"] as const;
export type EnclaveState = (typeof enclaveStates)[number];

/** What the host of an enclave says of it. Nothing of it is proven here: it is the word of the node that calls. */
export interface EnclaveReport {
  /** See {@link enclaveIdPattern}. */
  readonly enclave: string;
  readonly organisation: string;
  readonly channel: string;
  readonly chaincode: string;
  readonly measurement: string;
  readonly state: EnclaveState;
  /** Of the newest keys that the ledger lists it for, from 1 to 2^32 - 1; null where there are none. */
  readonly generation: number | null;
}

export interface ReportedEnclave extends EnclaveReport {
  /** Name of the node that said so: the enclave's host. */
  readonly node: string;
  /** Of the host at this moment, by the key manager's own word. What a revoked host last said is out of date, and stays so. */
  readonly hostState: "enabled" | "revoked";
  readonly reportedAt: string;
}

/** Enclaves as their hosts tell of them. A node tells of its own; two that tell of one enclave are two entries. */
export interface EnclaveOperations {
  /** Of the node that calls, in the place of what it said of this enclave before. A new one above the 64th is `LIMIT_EXCEEDED`. */
  report(caller: Caller, report: EnclaveReport): Promise<void>;
  /** Of one node or of all, by node and enclave; for administrators and auditors. */
  list(caller: Caller, node?: string): Promise<readonly ReportedEnclave[]>;
  /** Removes what a node said of an enclave, until it says something again. For administrators. */
  forget(caller: Caller, node: string, enclave: string): Promise<void>;
}
