import { type DescField, type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { checkCanonical, malformed } from "./canonical.ts";

/** No message of the protocol comes near this, evidence with its collateral included. */
export const maxMessageBytes = 1 << 20;

/**
 * Decodes a protobuf message in its one canonical form (canonical.ts). So one message has one encoding, and its hash and
 * signature mean one thing. Generated code alone takes the last of two fields and keeps unknown ones.
 *
 * Fields of bytes are views of `bytes`: copy what has to outlive them.
 *
 * @param required - Fields of the message itself, by their proto names, that may not be absent or empty.
 * @throws EnclaveError MALFORMED, naming the field as `Message.field`
 */
export function decodeStrict<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
  required: readonly string[] = [],
  maxBytes: number = maxMessageBytes,
): MessageShape<Desc> {
  if (bytes.length > maxBytes)
    throw malformed(schema.name, `is ${bytes.length} bytes long, which is more than ${maxBytes}`);
  checkCanonical(schema, bytes);
  let message: MessageShape<Desc>;
  try {
    message = fromBinary(schema, bytes);
  } catch {
    throw malformed(schema.name, "is not a message of protobuf");
  }
  for (const name of required) {
    const field = schema.fields.find((one) => one.name === name);
    if (field === undefined) throw new TypeError(`${schema.typeName} has no field ${name}`);
    if (isAbsent(message, field)) throw malformed(`${schema.name}.${name}`, "is missing or empty");
  }
  return message;
}

/** The canonical encoding of a message given by its fields, in a buffer of its own. */
export function encode<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const { buffer, byteOffset, byteLength } = toBinary(schema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Or empty: text and bytes of no length, lists of none, zero and false, messages of which all is absent. */
function isAbsent(message: object, field: DescField): boolean {
  const values = message as Readonly<Record<string, unknown>>;
  const chosen = field.oneof === undefined ? undefined : (values[field.oneof.localName] as Chosen);
  if (chosen !== undefined && chosen.case !== field.localName) return true;
  const value = chosen === undefined ? values[field.localName] : chosen.value;
  if (value === undefined || value === false || value === 0 || value === 0n) return true;
  if (value instanceof Uint8Array || typeof value === "string" || Array.isArray(value)) return value.length === 0;
  if (typeof value !== "object" || value === null) return false;
  if (field.fieldKind === "map") return Object.keys(value).length === 0;
  if (field.fieldKind !== "message") return false;
  return field.message.fields.every((one) => isAbsent(value, one));
}

interface Chosen {
  readonly case: string | undefined;
  readonly value?: unknown;
}
