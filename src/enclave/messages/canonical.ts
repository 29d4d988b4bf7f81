import { isUtf8 } from "node:buffer";
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
  walk(schema, bytes, { name: schema.name, outer: undefined, depth: 0, fields: { left: maxFields } });
}

/** Where in a message; its path is put together only for an error. */
interface Place {
  readonly name: string;
  readonly outer: Place | undefined;
  readonly depth: number;
  readonly fields: { left: number };
}

/** What is checked of a field. */
interface Field {
  readonly number: number;
  readonly name: string;
  /** On the wire, where all elements may stand in one piece. */
  readonly wireType: WireType;
  readonly isPacked: boolean;
  readonly isList: boolean;
  readonly isMap: boolean;
  /** Of one value. */
  readonly valueWireType: WireType;
  readonly scalar: ScalarType | undefined;
  readonly message: DescMessage | undefined;
  /** Whether its default is not written: a field of a oneof, or a message within, says by being there that it was chosen. */
  readonly isImplicit: boolean;
  readonly oneof: string | undefined;
}

const checkedFields = new WeakMap<DescMessage, ReadonlyMap<number, Field>>();

function fieldsOf(schema: DescMessage): ReadonlyMap<number, Field> {
  const known = checkedFields.get(schema);
  if (known !== undefined) return known;
  const fields = new Map(schema.fields.map((field) => [field.number, readField(field)]));
  checkedFields.set(schema, fields);
  return fields;
}

function readField(field: DescField): Field {
  const isPacked = field.fieldKind === "list" && field.packed;
  const valueWireType = wireTypeOf(field);
  return {
    number: field.number,
    name: field.name,
    wireType: isPacked ? WireType.LengthDelimited : valueWireType,
    isPacked,
    isList: field.fieldKind === "list",
    isMap: field.fieldKind === "map",
    valueWireType,
    scalar: scalarOf(field),
    message: field.message,
    isImplicit: field.fieldKind !== "list" && field.presence === FeatureSet_FieldPresence.IMPLICIT,
    oneof: field.oneof?.name,
  };
}

function walk(schema: DescMessage, bytes: Uint8Array, place: Place): void {
  if (place.depth > maxDepth) throw refused(place, "is nested too deeply");
  const known = fieldsOf(schema);
  const reader = new WireReader(bytes);
  let oneofs: Set<string> | undefined;
  let last: Field | undefined;
  while (!reader.isAtEnd) {
    place.fields.left -= 1;
    if (place.fields.left < 0) throw refused(place, `has more than ${maxFields} fields, with those within`);
    const field = readTag(known, reader, place);
    if (last !== undefined && field.number < last.number) throw refusedField(place, field, "is out of order");
    if (field === last && (!field.isList || field.isPacked)) throw refusedField(place, field, "is given twice");
    if (field.oneof !== undefined) {
      oneofs ??= new Set();
      if (oneofs.has(field.oneof)) throw refusedField(place, field, `is given beside another of ${field.oneof}`);
      oneofs.add(field.oneof);
    }
    last = field;
    if (field.isPacked) readPacked(field, reader, place);
    else readValue(field, reader, place);
  }
}

function readTag(known: ReadonlyMap<number, Field>, reader: WireReader, place: Place): Field {
  const tag = reader.smallVarint();
  if (tag === undefined || tag > 0xffff_ffff) throw refused(place, "has a broken field tag");
  const [number, wireType] = [tag >>> 3, tag & 7];
  const field = known.get(number);
  if (field === undefined) throw refused(place, `has a field of number ${number}, which is unknown`);
  if (field.isMap) throw refusedField(place, field, "is a map, which is not taken");
  if (wireType !== field.wireType) throw refusedField(place, field, `has wire type ${wireType}`);
  return field;
}

/** In one piece, and not empty: an empty list is not written. */
function readPacked(field: Field, reader: WireReader, place: Place): void {
  const bytes = reader.lengthDelimited();
  if (bytes === undefined) throw refusedField(place, field, "is cut short");
  if (bytes.length === 0) throw refusedField(place, field, "is spelt out at its default");
  const elements = new WireReader(bytes);
  while (!elements.isAtEnd) readValue(field, elements, place);
}

/** @param place - Of the message that the field is in. */
function readValue(field: Field, reader: WireReader, place: Place): void {
  const isNumber = field.valueWireType !== WireType.LengthDelimited;
  const isDefault = isNumber ? readNumber(field, reader, place) : readBytes(field, reader, place);
  if (isDefault && field.isImplicit) throw refusedField(place, field, "is spelt out at its default");
}

function readBytes(field: Field, reader: WireReader, place: Place): boolean {
  const bytes = reader.lengthDelimited();
  if (bytes === undefined) throw refusedField(place, field, "is cut short");
  if (field.message !== undefined) walk(field.message, bytes, within(place, field));
  else if (field.scalar === ScalarType.STRING && !isUtf8(bytes)) throw refusedField(place, field, "is not UTF-8");
  return bytes.length === 0;
}

function readNumber(field: Field, reader: WireReader, place: Place): boolean {
  const wireType = field.valueWireType;
  if (wireType !== WireType.Varint) {
    const bytes = reader.fixed(wireType === WireType.Bit64 ? 8 : 4);
    if (bytes === undefined) throw refusedField(place, field, "is cut short");
    return bytes.every((byte) => byte === 0);
  }
  const value = reader.varint();
  if (value === undefined) throw refusedField(place, field, "is cut short, or longer than it has to be");
  if (!isInRange(field.scalar, value)) throw refusedField(place, field, "is out of its range");
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

function within(place: Place, { name }: Field): Place {
  return { name, outer: place, depth: place.depth + 1, fields: place.fields };
}

function refusedField(place: Place, field: Field, how: string): EnclaveError {
  return refused(within(place, field), how);
}

function refused(place: Place, how: string): EnclaveError {
  const names: string[] = [];
  for (let at: Place | undefined = place; at !== undefined; at = at.outer) names.unshift(at.name);
  return malformed(names.join("."), how);
}

export function malformed(what: string, how: string): EnclaveError {
  return new EnclaveError("MALFORMED", `${what} ${how}`);
}
