import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, CustodyIdentity, CustodyService } from "../../custody/service.ts";
import { type FailedRequest, inAwsWords } from "./failures.ts";
import { keyReference } from "./identifiers.ts";
import type { AwsOperation, JsonObject } from "./operation.ts";
import type { InputOf, Members } from "./shape.ts";
import { readInput } from "./validation.ts";

/** A request as its operation sees it: the input is checked, the caller says whether it is a dry run. */
export interface AwsRequest extends FailedRequest {
  readonly custody: CustodyService;
  readonly caller: Caller;
  readonly identity: CustodyIdentity;
  /** An id or key ARN, as custody takes it. @throws {AwsError} `NotFoundException`. */
  key(name: string): string;
  /** An id, key ARN, alias name or alias ARN. @throws {AwsError} `NotFoundException`. */
  keyOrAlias(name: string): string;
}

/** An operation with the table of its members, from which its requests are read. */
export interface DefinedOperation extends AwsOperation {
  readonly members: Members;
}

/** One operation: what it takes, who does it. A member `DryRun` that is true makes it a dry run. */
export function defineOperation<const M extends Members>(
  name: string,
  members: M,
  handle: (request: AwsRequest, input: InputOf<M>) => Promise<JsonObject | undefined>,
): DefinedOperation {
  const secretMembers = Object.entries(members).flatMap(([member, { shape }]) =>
    shape.kind === "blob" && shape.secret === true ? [member] : [],
  );
  return {
    name,
    members,
    secretMembers,
    async run({ custody, caller }, input) {
      const { identity } = custody;
      const request: FailedRequest = { operation: name, principal: caller.principal, identity };
      const secrets: SecretBuffer[] = [];
      try {
        const read = readInput(members, input ?? {}, (secret) => secrets.push(secret));
        return await handle(
          {
            ...request,
            custody,
            caller: "DryRun" in read && read.DryRun === true ? { ...caller, dryRun: true } : caller,
            key: (named) => keyReference(identity, named, "key"),
            keyOrAlias: (named) => keyReference(identity, named, "key-or-alias"),
          },
          read,
        );
      } catch (error) {
        throw inAwsWords(error, request);
      } finally {
        for (const secret of secrets) secret[Symbol.dispose]();
      }
    },
  };
}
