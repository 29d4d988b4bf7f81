import { type DescField, type DescMessage, fromBinary, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { EnclaveError } from "../errors.ts";

const maxDepth = 32;

/**
 * Decodes one of Fabric's messages. It may have fields that we do not know; one that we know has to have its wire type, and
 * texts have to be UTF-8. Generated code alone reads a field by its number whatever its type, so that bytes which Fabric reads
 * as another message, or as none, would be taken.
 *
 * @throws EnclaveError MALFORMED
 */
export function readMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    checkFields(schema, bytes, 0);
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new EnclaveError("MALFORMED", `${schema.name} is not a message of protobuf`, { cause });
  }
}

function checkFields(schema: DescMessage, bytes: Uint8Array, depth: number): void {
  if (depth > maxDepth) throw new RangeError("nested too deeply");
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = schema.fields.find((one) => one.number === number);
    if (field === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    if (wireType !== wireTypeOf(field)) throw new TypeError(`${field.name} has wire type ${wireType}`);
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, number);
      continue;
    }
    const content = reader.bytes();
    if (field.fieldKind === "map") checkEntry(field, content, depth);
    else if (field.message !== undefined) checkFields(field.message, content, depth + 1);
    else if (isText(field)) new TextDecoder("utf-8", { fatal: true }).decode(content);
  }
  if (reader.pos !== reader.len) throw new RangeError("cut short");
}

/** One entry of a map: field 1 is the key, a text in Fabric's messages here, and field 2 the value. */
function checkEntry(map: DescField & { fieldKind: "map" }, bytes: Uint8Array, depth: number): void {
  const reader = new BinaryReader(bytes);
  const ofValue =
    map.mapKind === "scalar" && map.scalar === ScalarType.BOOL ? WireType.Varint : WireType.LengthDelimited;
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType !== (number === 2 ? ofValue : WireType.LengthDelimited))
      throw new TypeError(`${map.name} has an entry with wire type ${wireType}`);
    if (wireType === WireType.Varint) reader.uint64();
    else {
      const content = reader.bytes();
      if (number === 1) new TextDecoder("utf-8", { fatal: true }).decode(content);
      else if (map.mapKind === "message") checkFields(map.message, content, depth + 1);
    }
  }
}

/** Of the kinds of field that Fabric's messages here have: numbers that are varints, and what has a length. */
function wireTypeOf(field: DescField): WireType {
  if (field.fieldKind !== "scalar" || field.scalar === ScalarType.STRING || field.scalar === ScalarType.BYTES)
    return WireType.LengthDelimited;
  return WireType.Varint;
}

function isText(field: DescField): boolean {
  return (
    (field.fieldKind === "scalar" || (field.fieldKind === "list" && field.listKind === "scalar")) &&
    field.scalar === ScalarType.STRING
  );
}
