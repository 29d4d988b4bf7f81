import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, CustodyService } from "../../custody/service.ts";

/** A value of an answer. Bytes are blobs: base64 on the wire. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | Buffer
  | SecretBuffer
  | readonly JsonValue[]
  | { readonly [member: string]: JsonValue | undefined };

/** An answer. Members that are undefined are left out; whoever sends it disposes of its SecretBuffers after. */
export type JsonObject = { readonly [member: string]: JsonValue | undefined };

/** Who asks, and who does it. */
export interface AwsCall {
  readonly custody: CustodyService;
  readonly caller: Caller;
}

/** One operation of the API `TrentService` (AWS KMS, version 2014-11-01). */
export interface AwsOperation {
  /** Behind `TrentService.` in `X-Amz-Target`. */
  readonly name: string;
  /**
   * Members of the input whose bytes are secret, such as Encrypt's `Plaintext`. The door decodes their base64 straight from
   * the request's bytes and puts a SecretBuffer in their place, lent for the call; every other blob comes as the text it is.
   */
  readonly secretMembers?: readonly string[];
  /**
   * Checks the input and does it. Undefined: an answer without a body.
   *
   * @throws {AwsError} Every failure that is foreseen.
   */
  run(call: AwsCall, input: unknown): Promise<JsonObject | undefined>;
}
