import { type JsonNode, JsonSyntaxError, readJson } from "../../client/json-bytes.ts";
import { decodeBase64 } from "../../crypto/base64.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { AwsError } from "./errors.ts";

/** The input of an operation; dispose of it when the operation has ended. */
export interface OperationInput extends Disposable {
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * Reads the JSON object that an operation takes. Strict (see readJson), and no member is named `__proto__`; a member that is
 * null is left out, as the protocol has it. Secret members are decoded from the bytes of `body`, which this changes: whoever
 * wipes it then has wiped every copy but the SecretBuffers, which end with the input.
 *
 * @throws {AwsError} `SerializationException`.
 */
export function readInput(body: Buffer, secretMembers: readonly string[]): OperationInput {
  const secrets: SecretBuffer[] = [];
  const dispose = () => {
    for (const secret of secrets) secret[Symbol.dispose]();
  };
  try {
    const members = body.length === 0 ? new Map<string, JsonNode>() : objectOf(readJson(body));
    const value: Record<string, unknown> = {};
    for (const [name, node] of members) {
      if (isNull(node)) continue;
      if (!secretMembers.includes(name)) {
        value[memberName(name)] = plain(node);
        continue;
      }
      const secret = secretOf(node);
      secrets.push(secret);
      value[name] = secret;
    }
    return { value, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    if (error instanceof JsonSyntaxError) throw malformed();
    throw error;
  }
}

function objectOf(node: JsonNode): ReadonlyMap<string, JsonNode> {
  if (node.kind !== "object") throw malformed();
  return node.members;
}

function secretOf(node: JsonNode): SecretBuffer {
  const bytes = node.kind === "string" ? decodeBase64(node.bytes) : undefined;
  if (bytes === undefined) throw malformed();
  return SecretBuffer.adopt(bytes);
}

function plain(node: JsonNode): unknown {
  switch (node.kind) {
    case "string":
      return node.bytes.toString("utf8");
    case "number":
      return Number(node.text);
    case "literal":
      return node.text === "null" ? null : node.text === "true";
    case "array":
      return node.items.map(plain);
    case "object": {
      const value: Record<string, unknown> = {};
      for (const [name, member] of node.members) if (!isNull(member)) value[memberName(name)] = plain(member);
      return value;
    }
  }
}

/** An assignment to this name would change an object's prototype. */
function memberName(name: string): string {
  if (name === "__proto__") throw malformed();
  return name;
}

function isNull(node: JsonNode): boolean {
  return node.kind === "literal" && node.text === "null";
}

function malformed(): AwsError {
  return new AwsError("SerializationException");
}
