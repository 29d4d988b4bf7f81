import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** Names of backends, as sealed blobs and `status` have them. */
export const teeKinds = ["process", "tpm", "gramine"] as const;
export type TeeKind = (typeof teeKinds)[number];

/** Whose state is sealed, for whoever else has to agree that it is opened. */
export interface SealedFor {
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  /** Of the organisation whose enclave it is. */
  readonly mspId: string;
  readonly channelId: string;
  readonly chaincodeId: string;
}

/**
 * What a trusted execution environment gives a process that runs in it. `process` and `tpm` do not protect from the host's
 * root; `status` says so.
 */
export interface TeeBackend extends AsyncDisposable {
  readonly kind: TeeKind;
  /** Whether the host's root is kept out of the process's memory. */
  readonly protectsFromRoot: boolean;
  /** Of the code that runs: 64 upper-case hex digits. It is the chaincode's version. */
  measure(): Promise<string>;
  /**
   * @param statement - What is attested (the `value` of the attested data's Any); its SHA-256 is in the quote.
   * @returns The attestation as upstream has it: JSON `{"attestation_type","attestation"}`, as bytes
   */
  quote(statement: Uint8Array): Promise<Buffer>;
  /**
   * Encrypts under a key of this platform and this measurement; `associatedData` is not hidden, and cannot be changed.
   *
   * @param subject - Needed where a key manager has to agree to each opening; a platform alone has no use for it.
   */
  seal(secret: SecretBuffer, associatedData: Uint8Array, subject?: SealedFor): Promise<Buffer>;
  /**
   * @throws EnclaveError UNSEAL_FAILED: of another platform, measurement, or associated data, or altered; KEY_MANAGER_REFUSED,
   *   KEY_MANAGER_UNREACHABLE, KEY_MANAGER_FAILED
   */
  unseal(sealed: Uint8Array, associatedData: Uint8Array): Promise<SecretBuffer>;
}
