import { isUtf8 } from "node:buffer";
import {
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { EnclaveError } from "../errors.ts";

const maxDepth = 32;
const maxVarintBytes = 10;

/**
 * Decodes one of Fabric's messages. It may have fields that we do not know; one that we know has to have its wire type, and
 * texts have to be UTF-8. Generated code alone reads a field by its number whatever its type, and numbers without what is
 * above their bits, so that bytes which Fabric reads as another message, or as none, would be taken.
 *
 * @throws EnclaveError MALFORMED
 */
export function readMessage<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    checkFields(fieldsOf(schema), new MessageReader(bytes), bytes.length, 0);
    return fromBinary(schema, bytes);
  } catch (cause) {
    throw new EnclaveError("MALFORMED", `${schema.name} is not a message of protobuf`, { cause });
  }
}

/** Encodes a message; the bytes are the buffer's alone. */
export function writeMessage<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): Buffer {
  const { buffer, byteOffset, byteLength } = toBinary(schema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** What is checked of a field. */
interface Field {
  readonly name: string;
  readonly wireType: WireType;
  readonly isText: boolean;
  /** What a message within it is of. */
  readonly message: DescMessage | undefined;
  readonly map: (DescField & { fieldKind: "map" }) | undefined;
}

const checkedFields = new WeakMap<DescMessage, ReadonlyMap<number, Field>>();

function fieldsOf(schema: DescMessage): ReadonlyMap<number, Field> {
  const known = checkedFields.get(schema);
  if (known !== undefined) return known;
  const fields = new Map(
    schema.fields.map((field) => [
      field.number,
      {
        name: field.name,
        wireType: wireTypeOf(field),
        isText: isText(field),
        message: field.fieldKind === "map" ? undefined : field.message,
        map: field.fieldKind === "map" ? field : undefined,
      },
    ]),
  );
  checkedFields.set(schema, fields);
  return fields;
}

class MessageReader extends BinaryReader {
  readonly #bytes: Uint8Array;
  /** Tags and lengths. The reader that this extends drops what is above 32 bits; to Fabric's peers such a message is none. */
  override uint32 = (): number => {
    const value = this.#varint();
    if (value > 0xffff_ffff) throw new RangeError("a tag or length of more than 32 bits");
    return value;
  };

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.#bytes = bytes;
  }

  override skip(wireType: WireType, fieldNo?: number, recursionLimit?: number): Uint8Array {
    if (wireType !== WireType.Varint) return super.skip(wireType, fieldNo, recursionLimit);
    const start = this.pos;
    this.#varint();
    return this.#bytes.subarray(start, this.pos);
  }

  /** As Go reads one: in its shortest form or not, of 64 bits at most. Above 2^53 it is not told exactly. */
  #varint(): number {
    let value = 0;
    let place = 1;
    for (let index = 1; index <= maxVarintBytes; index += 1) {
      const byte = this.#bytes[this.pos];
      if (byte === undefined) break;
      this.pos += 1;
      value += (byte & 0x7f) * place;
      place *= 0x80;
      if (byte < 0x80 && (index < maxVarintBytes || byte <= 1)) return value;
    }
    throw new RangeError("a number is cut short, or has more than 64 bits");
  }

  /** A view from the reader's place on. */
  bytesTo(end: number): Uint8Array {
    return this.#bytes.subarray(this.pos, end);
  }
}

/** Checks what lies between the reader's place and `end`. */
function checkFields(fields: ReadonlyMap<number, Field>, reader: MessageReader, end: number, depth: number): void {
  if (depth > maxDepth) throw new RangeError("nested too deeply");
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = fields.get(number);
    if (field === undefined) {
      reader.skip(wireType, number);
      continue;
    }
    if (wireType !== field.wireType) throw new TypeError(`${field.name} has wire type ${wireType}`);
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, number);
      continue;
    }
    const contentEnd = endOfContent(reader, end);
    if (field.map !== undefined) checkEntry(field.map, reader, contentEnd, depth);
    else if (field.message !== undefined) checkFields(fieldsOf(field.message), reader, contentEnd, depth + 1);
    else skipContent(reader, contentEnd, field.isText);
  }
  if (reader.pos !== end) throw new RangeError("cut short");
}

/** One entry of a map: field 1 is the key, a text in Fabric's messages here, and field 2 the value. */
function checkEntry(map: DescField & { fieldKind: "map" }, reader: MessageReader, end: number, depth: number): void {
  const ofValue =
    map.mapKind === "scalar" && map.scalar === ScalarType.BOOL ? WireType.Varint : WireType.LengthDelimited;
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    if (wireType !== (number === 2 ? ofValue : WireType.LengthDelimited))
      throw new TypeError(`${map.name} has an entry with wire type ${wireType}`);
    if (wireType === WireType.Varint) {
      reader.skip(wireType);
      continue;
    }
    const contentEnd = endOfContent(reader, end);
    if (number !== 1 && map.mapKind === "message") checkFields(fieldsOf(map.message), reader, contentEnd, depth + 1);
    else skipContent(reader, contentEnd, number === 1);
  }
  if (reader.pos !== end) throw new RangeError("cut short");
}

/** Where what has a length ends, which has to be within what it is in. */
function endOfContent(reader: MessageReader, end: number): number {
  const length = reader.uint32();
  if (length > end - reader.pos) throw new RangeError("cut short");
  return reader.pos + length;
}

function skipContent(reader: MessageReader, end: number, isText: boolean): void {
  if (isText && !isUtf8(reader.bytesTo(end))) throw new TypeError("a text is not UTF-8");
  reader.pos = end;
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
