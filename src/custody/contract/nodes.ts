import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, Door, IdentityKind, PrincipalDescription } from "../service.ts";

export interface NodeOperations {
  /**
   * Makes (or renews) a one-time token for a node's enrolment: 15 minutes, one use, stored hashed.
   * Creates the node's principal when it is new, and a grant on `key` for contexts that hold `node: name`.
   * For a user or service the principal must exist, and the caller must be allowed to make principals; for a node that has
   * enrolled before, the caller must be allowed to enable principals: whoever redeems the token becomes that node.
   */
  createToken(
    caller: Caller,
    input: { name: string; key?: string; identity: IdentityKind },
  ): Promise<{ readonly token: SecretBuffer; readonly expiresAt: string }>;
  /** Redeems a token: binds the public key to the node's principal. Called before a certificate is issued. */
  redeemToken(
    peer: { readonly door: Door; readonly peer: string; readonly requestId: string },
    input: { name: string; token: SecretBuffer; spkiSha256: Buffer; notAfter: string },
  ): Promise<PrincipalDescription>;
  /** Binds a new certificate key to the principal that calls: a renewal over its present certificate. */
  renew(caller: Caller, name: string, spkiSha256: Buffer, notAfter: string): Promise<PrincipalDescription>;
  /** One command: principal revoked, its grants and tokens gone. */
  revoke(caller: Caller, name: string): Promise<PrincipalDescription>;
  /**
   * A node tells of its own end: what keys are destroyed with it goes on record, and it is revoked. Only the node itself
   * may. Of each key its name, format and public identity.
   */
  destroyed(
    caller: Caller,
    input: {
      name: string;
      network: string;
      keys: readonly { readonly name: string; readonly format: string; readonly publicIdentity: string }[];
    },
  ): Promise<PrincipalDescription>;
  list(caller: Caller): Promise<readonly PrincipalDescription[]>;
}
