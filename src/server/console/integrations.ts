import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller } from "../../custody/service.ts";

/** Settings by which nodes reach a key management service: five fields, of which the secret is never shown again. */
export interface IntegrationDescription {
  readonly name: string;
  /** Such as `eu-west-1`. */
  readonly region: string;
  /** Access key id. */
  readonly apiKey: string;
  /** Key id, key ARN, alias name or alias ARN. */
  readonly masterKey: string;
  readonly createdAt: string;
}

/** Where integrations are kept. Its rules, limits and audit records are its own; errors are `CustodyError`. */
export interface IntegrationStore {
  list(caller: Caller): Promise<readonly IntegrationDescription[]>;
  /** `apiSecret` is lent for the call. */
  create(
    caller: Caller,
    input: Omit<IntegrationDescription, "createdAt" | "masterKey"> & {
      /** @defaultValue `alias/kaleido` */
      readonly masterKey?: string;
      readonly apiSecret: SecretBuffer;
    },
  ): Promise<IntegrationDescription>;
  delete(caller: Caller, name: string): Promise<void>;
}
