import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller } from "../service.ts";

/** Settings by which an upstream KMS is reached, without their secret. */
export interface IntegrationDescription {
  /** 1 to 64 letters, digits or `._@-`. */
  readonly name: string;
  /** Such as `eu-west-1`. */
  readonly region: string;
  /** Access key id. */
  readonly apiKey: string;
  /** Key id, key ARN, alias name or alias ARN at the KMS. */
  readonly masterKey: string;
  /** `https://HOST[:PORT]`; null for AWS's own of the region. */
  readonly endpoint: string | null;
  /** PEM of the certificate that the endpoint chains to; null for the authorities that Node brings. */
  readonly caPem: string | null;
  readonly createdAt: string;
}

export interface CreateIntegrationInput {
  readonly name: string;
  readonly region: string;
  readonly apiKey: string;
  /** Lent for the call. */
  readonly apiSecret: SecretBuffer;
  /** @defaultValue `"alias/kaleido"` */
  readonly masterKey?: string;
  readonly endpoint?: string;
  readonly caPem?: string;
}

/** Integrations: administrators make and delete them; keys of origin `aws-kms` name them. The secret never comes back out. */
export interface IntegrationOperations {
  create(caller: Caller, input: CreateIntegrationInput): Promise<IntegrationDescription>;
  list(caller: Caller): Promise<readonly IntegrationDescription[]>;
  describe(caller: Caller, name: string): Promise<IntegrationDescription>;
  /** Refused while a key uses it. */
  delete(caller: Caller, name: string): Promise<void>;
}
