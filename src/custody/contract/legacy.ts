import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller } from "../service.ts";

export type LegacyMode = "standard" | "sm";

export interface LegacyEntry {
  readonly cipherDataKey: string;
  readonly mode: LegacyMode;
  readonly node: string | null;
  /** `made` by this key manager, or `registered` by an operator. */
  readonly origin: "made" | "registered";
  readonly createdAt: string;
}

/**
 * FISCO's unauthenticated formats (facts: IV is the key's own prefix). `superKey` is lent for the call.
 * `decrypt` and `encryptKeyFile` open only a cipherDataKey that is in the registry for this very superKey and mode:
 * the check comes before any cipher runs.
 */
export interface LegacyOperations {
  encryptDataKey(caller: Caller, input: LegacyInput & { dataKey: SecretBuffer; node?: string }): Promise<string>;
  decryptDataKey(caller: Caller, input: LegacyInput & { cipherDataKey: string }): Promise<SecretBuffer>;
  /** `file`: the bytes that the caller wants encrypted (the FISCO script sends them in base64). Returns hex text. */
  encryptKeyFile(caller: Caller, input: LegacyInput & { cipherDataKey: string; text: SecretBuffer }): Promise<string>;
  register(caller: Caller, input: LegacyInput & { cipherDataKey: string; node?: string }): Promise<LegacyEntry>;
  list(caller: Caller): Promise<readonly LegacyEntry[]>;
}

export interface LegacyInput {
  readonly mode: LegacyMode;
  readonly superKey: SecretBuffer;
}
