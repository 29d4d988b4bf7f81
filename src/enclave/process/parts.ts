import type { EvidenceJudge } from "../evidence/judge.ts";
import type { TeeBackend } from "../tee/backend.ts";
import type { SeenLedger } from "../trusted-ledger/trusted-ledger.ts";

/** What an enclave is put together from. */
export interface EnclaveParts {
  readonly backend: TeeBackend;
  /** By which an exporting enclave judges the receiving one itself. */
  readonly judge: EvidenceJudge;
  readonly host: EnclaveHost;
  /** The host's clock: there is no other. Milliseconds since 1970. */
  readonly nowMs: () => number;
  /** Told of each point at which an end of the process leaves something else behind; only tests listen. */
  readonly reached: (step: string) => void;
}

/** What the untrusted host does for the enclave while one of its calls runs. */
export interface EnclaveHost {
  /** Durable when it resolves. @throws EnclaveError STORE_FAILED */
  storeBlob(blob: Uint8Array): Promise<void>;
  /** Of the creation, which cannot be made again, and of each later sequence. @throws EnclaveError STORE_FAILED */
  storeCredentials(credentials: Uint8Array): Promise<void>;
}

/** Whose records are asked of the trusted ledger, and what is attested of it. */
export interface LedgerContext {
  /** Bytes of TrustedLedgerParameters. */
  readonly parameters: Uint8Array;
  readonly channelId: string;
  readonly channelHash: Uint8Array;
  readonly chaincodeId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  /** Of the time when the enclave was sealed. */
  readonly seen: SeenLedger;
}
