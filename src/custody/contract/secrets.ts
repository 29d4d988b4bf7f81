import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller } from "../service.ts";

/** Small secrets of the server itself (its CA's private key and the like), sealed in the store. */
export interface ServiceSecrets {
  read(name: string): Promise<SecretBuffer | undefined>;
  /** Creates or replaces. `actor` is named in the audit record. */
  write(caller: Caller, name: string, secret: SecretBuffer): Promise<void>;
  /** Public companions (certificates), authenticated but not secret. */
  readPublic(name: string): Promise<Buffer | undefined>;
  writePublic(caller: Caller, name: string, value: Buffer): Promise<void>;
}
