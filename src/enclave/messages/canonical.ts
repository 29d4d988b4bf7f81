import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { FeatureSet_FieldPresence } from "@bufbuild/protobuf/wkt";
import { EnclaveError } from "../errors.ts";
import { WireReader } from "./wire-reader.ts";

const maxDepth = 16;
/** A message of single bytes would otherwise make a million objects. */
const maxFields = 50_000;

/**
 * Checks that `bytes` are the one canonical encoding of a message: fields in order of their numbers, each singular one at most
 * once, none unknown, none spelt out at its default, lists of numbers packed in one piece, no number longer than it has to be,
 * text in UTF-8. Maps have no canonical order, so none may be given. With this, to decode and to encode again gives `bytes`
 * (which the tests hold it to), without a second copy of what may be secret.
 *
 * @throws EnclaveError MALFORMED, naming the field as `Message.field`
 */
export function checkCanonical(schema: DescMessage, bytes: Uint8Array): void {
  walk(schema, bytes, { path: schema.name, depth: 0, fields: { left: maxFields } });
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly fields: { left: number };
}

function walk(schema: DescMessage, bytes: Uint8Array, place: Place): void {
  const { path, depth, fields } = place;
  if (depth > maxDepth) throw malformed(path, "is nested too deeply");
  const reader = new WireReader(bytes);
  const oneofs = new Set<string>();
  let last: DescField | undefined;
  while (!reader.isAtEnd) {
    fields.left -= 1;
    if (fields.left < 0) throw malformed(path, `has more than ${maxFields} fields, with those within`);
    const field = readTag(schema, reader, path);
    const name = `${path}.${field.name}`;
    if (last !== undefined && field.number < last.number) throw malformed(name, "is out of order");
    if (field === last && (field.fieldKind !== "list" || isPacked(field))) throw malformed(name, "is given twice");
    if (field.oneof !== undefined) {
      if (oneofs.has(field.oneof.name)) throw malformed(name, `is given beside another of ${field.oneof.name}`);
      oneofs.add(field.oneof.name);
    }
    last = field;
    const value = { path: name, depth: depth + 1, fields };
    if (field.fieldKind === "list" && isPacked(field)) readPacked(field, reader, value);
    else readValue(field, reader, value);
  }
}

function readTag(schema: DescMessage, reader: WireReader, path: string): DescField {
  const tag = reader.varint();
  if (tag === undefined || tag > 0xffff_ffffn) throw malformed(path, "has a broken field tag");
  const [number, wireType] = [Number(tag >> 3n), Number(tag & 7n)];
  const field = schema.fields.find((one) => one.number === number);
  if (field === undefined) throw malformed(path, `has a field of number ${number}, which is unknown`);
  if (field.fieldKind === "map") throw malformed(`${path}.${field.name}`, "is a map, which is not taken");
  if (wireType !== (isPacked(field) ? WireType.LengthDelimited : wireTypeOf(field)))
    throw malformed(`${path}.${field.name}`, `has wire type ${wireType}`);
  return field;
}

/** In one piece, and not empty: an empty list is not written. */
function readPacked(field: DescField, reader: WireReader, place: Place): void {
  const bytes = reader.lengthDelimited();
  if (bytes === undefined) throw cut(place.path);
  if (bytes.length === 0) throw malformed(place.path, "is spelt out at its default");
  const elements = new WireReader(bytes);
  while (!elements.isAtEnd) readValue(field, elements, place);
}

function readValue(field: DescField, reader: WireReader, place: Place): void {
  const isDefault = isNumber(field) ? readNumber(field, reader, place) : readBytes(field, reader, place);
  // A field of a oneof, or a message within, says by being there that it was chosen.
  const isImplicit = field.fieldKind !== "list" && field.presence === FeatureSet_FieldPresence.IMPLICIT;
  if (isDefault && isImplicit) throw malformed(place.path, "is spelt out at its default");
}

function readBytes(field: DescField, reader: WireReader, place: Place): boolean {
  const bytes = reader.lengthDelimited();
  if (bytes === undefined) throw cut(place.path);
  if (field.message !== undefined) walk(field.message, bytes, place);
  else if (scalarOf(field) === ScalarType.STRING && !isUtf8(bytes)) throw malformed(place.path, "is not UTF-8");
  return bytes.length === 0;
}

function readNumber(field: DescField, reader: WireReader, place: Place): boolean {
  const wireType = wireTypeOf(field);
  if (wireType !== WireType.Varint) {
    const bytes = reader.fixed(wireType === WireType.Bit64 ? 8 : 4);
    if (bytes === undefined) throw cut(place.path);
    return bytes.every((byte) => byte === 0);
  }
  const value = reader.varint();
  if (value === undefined) throw malformed(place.path, "is cut short, or longer than it has to be");
  if (!isInRange(scalarOf(field), value)) throw malformed(place.path, "is out of its range");
  return value === 0n;
}

/** Of a varint as it stands on the wire: negative numbers of 32 bits are extended to 64. */
function isInRange(scalar: ScalarType | undefined, value: bigint): boolean {
  switch (scalar) {
    case ScalarType.BOOL:
      return value <= 1n;
    case ScalarType.UINT32:
    case ScalarType.SINT32:
      return value <= 0xffff_ffffn;
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.SINT64:
      return true;
    default:
      return value <= 0x7fff_ffffn || value >= 0xffff_ffff_8000_0000n;
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isPacked(field: DescField): boolean {
  return field.fieldKind === "list" && field.packed;
}

function isNumber(field: DescField): boolean {
  return wireTypeOf(field) !== WireType.LengthDelimited;
}

function scalarOf(field: DescField): ScalarType | undefined {
  if (field.fieldKind === "scalar") return field.scalar;
  return field.fieldKind === "list" && field.listKind === "scalar" ? field.scalar : undefined;
}

/** Of one value. */
function wireTypeOf(field: DescField): WireType {
  if (field.fieldKind === "enum" || (field.fieldKind === "list" && field.listKind === "enum")) return WireType.Varint;
  switch (scalarOf(field)) {
    case undefined:
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.LengthDelimited;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.Bit64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.Bit32;
    default:
      return WireType.Varint;
  }
}

function cut(name: string): EnclaveError {
  return malformed(name, "is cut short");
}

export function malformed(what: string, how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `${what} ${how}`);
}
