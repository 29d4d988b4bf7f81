import { type Operation, type OperationName, operations } from "../../client/operations.ts";
import { type Answer, type Input, protocol } from "../../client/protocol.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import type { Caller, CustodyService, PrincipalDescription } from "../../custody/service.ts";
import type { Authority } from "../authority.ts";
import type { OneTimeCodes } from "../console/one-time-codes.ts";
import { InputError } from "./failures.ts";

/** What a handler may use. */
export interface DoorServices {
  readonly custody: CustodyService;
  readonly authority: Authority;
  /** Of the console; undefined when none is served. */
  readonly consoleCodes?: OneTimeCodes;
}

/** Who sent the request that is being answered. */
export interface Call extends DoorServices {
  readonly caller: Caller;
  /** Undefined over the administration socket, where the folder's administrator calls. */
  readonly principal: PrincipalDescription | undefined;
  /** End of the certificate that the request came with, Unix milliseconds. */
  readonly certificateNotAfterMs: number | undefined;
}

/** What a caller is known by before it has a principal: enrolment only. */
export type Stranger = DoorServices & { readonly peer: Omit<Caller, "principal"> };

/** Raw bytes that are sent as they are, then wiped, with the other members in headers. */
export interface SecretReply {
  readonly secret: SecretBuffer;
  readonly members: Readonly<Record<string, string | number>>;
}

/** One operation of the door: what it takes, what it gives, who does it. */
export interface Endpoint {
  readonly name: OperationName;
  readonly operation: Operation;
  /** Called without a certificate: enrolment. */
  readonly open: boolean;
  /** @throws {InputError} */
  validate(value: unknown): unknown;
  /** Resolves to the JSON value, a {@link SecretReply}, or undefined (204). `secret` is lent. */
  run(call: Call, input: unknown, secret: SecretBuffer | undefined): Promise<unknown>;
}

type Name = keyof typeof protocol;

/** An operation that takes and gives JSON. Members that the contract does not declare are dropped from the answer. */
export function endpoint<N extends Name>(
  name: N,
  handle: (call: Call, input: Input<N>) => Answer<N> | Promise<Answer<N>>,
): Endpoint {
  const { answer } = protocol[name];
  return made(name, async (call, input) => answer.parse(await handle(call, input as Input<N>)));
}

/** An operation whose body is raw secret bytes. */
export function endpointOfSecret<N extends Name>(
  name: N,
  handle: (call: Call, input: Input<N>, secret: SecretBuffer) => Promise<Answer<N>>,
): Endpoint {
  const { answer } = protocol[name];
  return made(name, async (call, input, secret) => {
    if (secret === undefined) throw new InputError("", "the body holds no bytes");
    return answer.parse(await handle(call, input as Input<N>, secret));
  });
}

/** An operation that answers raw secret bytes; the other members go into headers. */
export function endpointForSecret<N extends Name>(
  name: N,
  handle: (call: Call, input: Input<N>) => Promise<Answer<N> & { readonly secret: SecretBuffer }>,
): Endpoint {
  return made(name, async (call, input): Promise<SecretReply> => {
    const { secret, ...members } = await handle(call, input as Input<N>);
    return { secret, members: members as SecretReply["members"] };
  });
}

/** Enrolment: an operation for callers that have no certificate yet. */
export function openEndpoint<N extends Name>(
  name: N,
  handle: (stranger: Stranger, input: Input<N>) => Promise<Answer<N>>,
): Endpoint {
  const { answer } = protocol[name];
  const run: Endpoint["run"] = async (call, input) =>
    answer.parse(await handle({ ...call, peer: call.caller }, input as Input<N>));
  return { ...made(name, run), open: true };
}

function made(name: Name, run: Endpoint["run"]): Endpoint {
  const schema = protocol[name].input;
  return {
    name,
    operation: operations[name],
    open: false,
    validate(value) {
      const parsed = schema.safeParse(value);
      if (parsed.success) return parsed.data;
      const [issue] = parsed.error.issues;
      const path = issue?.code === "unrecognized_keys" ? [...issue.path, issue.keys[0] ?? ""] : (issue?.path ?? []);
      throw new InputError(path.map(String).join("."), issue?.message ?? "the request is malformed");
    },
    run,
  };
}
