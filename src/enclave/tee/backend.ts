import type { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** Names of backends, as sealed blobs and `status` have them. */
export const teeKinds = ["process", "tpm", "gramine"] as const;
export type TeeKind = (typeof teeKinds)[number];

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
  /** Encrypts under a key of this platform and this measurement; `associatedData` is not hidden, and cannot be changed. */
  seal(secret: SecretBuffer, associatedData: Uint8Array): Promise<Buffer>;
  /** @throws EnclaveError UNSEAL_FAILED: of another platform, measurement, or associated data, or altered */
  unseal(sealed: Uint8Array, associatedData: Uint8Array): Promise<SecretBuffer>;
}
