import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { ClientError } from "./errors.ts";
import { memberHeader } from "./operations.ts";
import type { AccessKeyDescription, Answer } from "./protocol.ts";
import type { RawAnswer } from "./transport.ts";

export interface WrappedKey {
  readonly keyId: string;
  readonly keyVersion: number;
  readonly wrapped: Buffer;
}

/** An access key and its secret, 40 characters, which is told this once. */
export interface NewAccessKey extends AccessKeyDescription {
  /** The caller disposes of it. */
  readonly secret: SecretBuffer;
}

/** A member of a secret answer, from its header. @throws {ClientError} `BAD_ANSWER`, the secret wiped, when it is missing. */
export function member(answer: RawAnswer, name: string, secret: SecretBuffer): string {
  const value = answer.headers[memberHeader(name)];
  if (typeof value === "string" && value !== "") return value;
  secret[Symbol.dispose]();
  throw new ClientError("BAD_ANSWER", `the answer has no ${memberHeader(name)} header`, { status: answer.status });
}

/** An access key from the headers and the body of its answer. */
export function newAccessKey({ secret, answer }: { secret: SecretBuffer; answer: RawAnswer }): NewAccessKey {
  const text = (name: string) => member(answer, name, secret);
  const state = text("state") === "disabled" ? "disabled" : "enabled";
  return {
    id: text("id"),
    user: text("user"),
    version: Number(text("version")),
    state,
    createdAt: text("createdAt"),
    secret,
  };
}

/** @throws {ClientError} `BAD_ANSWER`. */
export function wrappedKey(answer: Answer<"wrap">): WrappedKey {
  if (typeof answer.wrapped !== "string" || typeof answer.keyId !== "string")
    throw new ClientError("BAD_ANSWER", "the answer holds no wrapped key");
  return { keyId: answer.keyId, keyVersion: answer.keyVersion, wrapped: Buffer.from(answer.wrapped, "base64") };
}

/** @throws {ClientError} `BAD_ANSWER`. */
export function list<T>(members: readonly T[]): readonly T[] {
  if (!Array.isArray(members)) throw new ClientError("BAD_ANSWER", "the answer holds no list");
  return members;
}
