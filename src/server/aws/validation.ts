import { decodeBase64 } from "../../crypto/base64.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsError } from "./errors.ts";
import type { InputOf, Members, Shape } from "./shape.ts";

/** Values longer than this are not shown in an error. */
const maxShownCharacters = 256;
/** So many broken constraints are told of; of more than these there is but the number. */
const maxToldViolations = 64;

/**
 * Reads a request by its table of members. A secret blob may have been decoded to a SecretBuffer already. Every constraint that fails is told of in one error, in AWS's words (of very many
 * the first); a blob is never shown.
 *
 * @param lend - Told of each secret that was made here, also when the request is then refused: the caller disposes of them.
 * @throws {AwsError} `SerializationException` for a value of another type, `ValidationException` for one that breaks a
 *   constraint, `UnsupportedOperationException` for a member that is not in the table: nothing that a caller asks for is
 *   passed over in silence.
 */
export function readInput<M extends Members>(
  members: M,
  input: unknown,
  lend: (secret: SecretBuffer) => void = () => {},
): InputOf<M> {
  const reader = new InputReader(lend);
  const value = reader.structure(members, input, "");
  reader.refuseIfInvalid();
  return value as InputOf<M>;
}

class InputReader {
  /** In words, the first of them. */
  readonly #violations: string[] = [];
  #violationCount = 0;
  readonly #lend: (secret: SecretBuffer) => void;

  constructor(lend: (secret: SecretBuffer) => void) {
    this.#lend = lend;
  }

  refuseIfInvalid(): void {
    const count = this.#violationCount;
    if (count === 0) return;
    const errors = count === 1 ? "1 validation error" : `${count} validation errors`;
    throw new AwsError("ValidationException", `${errors} detected: ${this.#violations.join("; ")}`);
  }

  #violated(words: string): void {
    this.#violationCount += 1;
    if (this.#violations.length < maxToldViolations) this.#violations.push(words);
  }

  structure(members: Members, input: unknown, path: string): Readonly<Record<string, unknown>> {
    if (typeof input !== "object" || input === null || Array.isArray(input))
      throw wrongType(path === "" ? "the request" : path, "a structure", input);
    const given = input as Readonly<Record<string, unknown>>;
    for (const [name, value] of Object.entries(given))
      if (!Object.hasOwn(members, name) && value !== null)
        throw new AwsError("UnsupportedOperationException", `The member ${JSON.stringify(name)} is not supported.`);
    const read: Record<string, unknown> = {};
    for (const [name, member] of Object.entries(members)) {
      const value = Object.hasOwn(given, name) ? given[name] : undefined;
      const at = path === "" ? lowerCamel(name) : `${path}.${lowerCamel(name)}`;
      if (value !== undefined && value !== null) read[name] = this.#value(member.shape, value, at);
      else if (member.required)
        this.#violated(`Value null at '${at}' failed to satisfy constraint: Member must not be null`);
    }
    return read;
  }

  #value(shape: Shape, value: unknown, at: string): unknown {
    switch (shape.kind) {
      case "string":
        return this.#string(shape, value, at);
      case "integer":
        if (typeof value !== "number" || !Number.isInteger(value)) throw wrongType(at, "an integer", value);
        this.#range(shape, value, at);
        return value;
      case "boolean":
        if (typeof value !== "boolean") throw wrongType(at, "a boolean", value);
        return value;
      case "timestamp":
        return timestamp(value, at);
      case "blob":
        return this.#blob(shape, value, at);
      case "map":
        return stringMap(value, at);
      case "list":
        return this.#list(shape, value, at);
      case "structure":
        return this.structure(shape.members, value, at);
    }
  }

  #string(shape: Extract<Shape, { kind: "string" }>, value: unknown, at: string): string {
    if (typeof value !== "string") throw wrongType(at, "a string", value);
    const failed = stringConstraints(shape, value);
    if (failed.length > 0) {
      const shown = shape.sensitive || value.length > maxShownCharacters ? "" : ` '${value}'`;
      for (const each of failed)
        this.#violated(`Value${shown} at '${at}' failed to satisfy constraint: Member must ${each}`);
    }
    return value;
  }

  #range({ min, max }: { readonly min?: number; readonly max?: number }, value: number, at: string): void {
    const fail = (what: string) =>
      this.#violated(`Value '${value}' at '${at}' failed to satisfy constraint: Member must have value ${what}`);
    if (min !== undefined && value < min) fail(`greater than or equal to ${min}`);
    if (max !== undefined && value > max) fail(`less than or equal to ${max}`);
  }

  #blob(shape: Extract<Shape, { kind: "blob" }>, value: unknown, at: string): Buffer | SecretBuffer {
    const bytes = shape.secret && value instanceof SecretBuffer ? value : decoded(value, at, shape.secret === true);
    const failed = lengthConstraint(shape, bytes.byteLength);
    if (failed !== undefined) this.#violated(`Value at '${at}' failed to satisfy constraint: Member must ${failed}`);
    if (!shape.secret || bytes instanceof SecretBuffer) return bytes;
    const secret = SecretBuffer.adopt(bytes);
    this.#lend(secret);
    return secret;
  }

  #list(shape: Extract<Shape, { kind: "list" }>, value: unknown, at: string): readonly unknown[] {
    if (!Array.isArray(value)) throw wrongType(at, "a list", value);
    const failed = lengthConstraint(shape, value.length);
    if (failed !== undefined) this.#violated(`Value at '${at}' failed to satisfy constraint: Member must ${failed}`);
    if (shape.max !== undefined && value.length > shape.max) return [];
    return value.map((item, index) => {
      if (item === null) throw wrongType(at, "a list without nulls", item);
      return this.#value(shape.of, item, `${at}.${index + 1}.member`);
    });
  }
}

function stringConstraints(shape: Extract<Shape, { kind: "string" }>, value: string): readonly string[] {
  const { pattern, values } = shape;
  const length = lengthConstraint(shape, value.length);
  return [
    ...(length === undefined ? [] : [length]),
    ...(pattern === undefined || pattern.test(value)
      ? []
      : [`satisfy regular expression pattern: ${pattern.source.replace(/^\^|\$$/g, "")}`]),
    ...(values === undefined || values.includes(value) ? [] : [`satisfy enum value set: [${values.join(", ")}]`]),
  ];
}

function lengthConstraint(
  { min, max }: { readonly min?: number; readonly max?: number },
  length: number,
): string | undefined {
  if (min !== undefined && length < min) return `have length greater than or equal to ${min}`;
  if (max !== undefined && length > max) return `have length less than or equal to ${max}`;
  return undefined;
}

/** The greatest time that a Date can hold, in seconds (ECMA-262 section 21.4.1.1). */
const greatestTimeSeconds = 8.64e12;

function timestamp(value: unknown, at: string): Date {
  if (typeof value !== "number" || Math.abs(value) > greatestTimeSeconds) throw wrongType(at, "a timestamp", value);
  return new Date(value * 1000);
}

/** Canonical base64. What is no secret, such as a ciphertext, is decoded by the runtime, four times as fast. */
function decoded(value: unknown, at: string, secret: boolean): Buffer {
  if (typeof value !== "string") throw wrongType(at, "a base64 string", value);
  const bytes = secret ? secretDecoded(value) : publicDecoded(value);
  if (bytes === undefined) throw new AwsError("SerializationException", `The value at '${at}' is not base64`);
  return bytes;
}

function secretDecoded(value: string): Buffer | undefined {
  const text = Buffer.from(value, "latin1");
  const bytes = text.toString("latin1") === value ? decodeBase64(text) : undefined;
  text.fill(0);
  return bytes;
}

/** Node passes over what is no base64, so only text that comes out again was canonical. */
function publicDecoded(value: string): Buffer | undefined {
  const bytes = Buffer.from(value, "base64");
  return bytes.toString("base64") === value ? bytes : undefined;
}

function stringMap(value: unknown, at: string): Readonly<Record<string, string>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrongType(at, "a map", value);
  for (const each of Object.values(value)) if (typeof each !== "string") throw wrongType(at, "a map of strings", each);
  return value as Readonly<Record<string, string>>;
}

/** The type of what was given is told, the value never: it may be a secret at the wrong place. */
function wrongType(at: string, expected: string, value: unknown): AwsError {
  const given = value === null ? "null" : Array.isArray(value) ? "a list" : `a value of type ${typeof value}`;
  return new AwsError("SerializationException", `${given} at '${at}' can not be converted to ${expected}`);
}

/** `KeyId` is `keyId` in AWS's errors. */
function lowerCamel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
