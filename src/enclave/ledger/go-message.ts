import { isUtf8 } from "node:buffer";
import { type DescField, type DescMessage, fromBinary, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { EnclaveError } from "../errors.ts";

const maxVarintBytes = 10;
/** protowire.DefaultRecursionLimit of Go's protobuf: groups within a group that is passed over. */
const maxGroupsWithin = 10_000;
const maxFieldNumber = 2 ** 29 - 1;
/** Go is not as strict within a group that it passes over. */
const maxNumberInGroup = 2 ** 31 - 1;
/**
 * Messages within messages. Go's limit is 10,000; but of what a transaction has, no message is within one of its own kind, and
 * none comes near this. Only policies and configurations can, which a client does not write.
 */
const maxKnownDepth = 64;

/**
 * Decodes one of Fabric's messages as Fabric's peers do (proto.Unmarshal of google.golang.org/protobuf, which is what 2.5 has): what they
 * pass over is passed over, what they refuse is refused. A field that is known and has another wire type is to them an unknown one.
 *
 * For transactions of a channel alone, where another judgement than the peers' would part this from the channel. Whatever is
 * for ourselves is read by `readMessage` or `decodeStrict`, which refuse more.
 *
 * @throws EnclaveError MALFORMED
 */
export function readAsGo<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, knownPart(schema, bytes, 0) ?? bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new EnclaveError("MALFORMED", `${schema.name} is not a message of protobuf to Fabric's peers`, { cause });
  }
}

/** How a field that we know is encoded. */
interface Field {
  readonly wireType: WireType.Varint | WireType.LengthDelimited;
  readonly isText: boolean;
  readonly content: Fields | undefined;
}
type Fields = (number: number) => Field | undefined;

/** The same message without what is passed over; undefined where that is all of it. */
function knownPart(schema: DescMessage, bytes: Uint8Array, depth: number): Uint8Array | undefined {
  return withoutUnknown(fieldsOf(schema), bytes, depth);
}

function withoutUnknown(fields: Fields, bytes: Uint8Array, depth: number): Uint8Array | undefined {
  if (depth > maxKnownDepth) throw new RangeError("nested too deeply");
  // Without what is passed over it is never longer. One copy: of a million fields a million views would take far more memory than they do.
  let shorter: Buffer | undefined;
  let length = 0;
  let keptFrom = 0;
  const put = (part: Uint8Array) => {
    shorter ??= Buffer.alloc(bytes.length);
    shorter.set(part, length);
    length += part.length;
  };
  const keepTo = (end: number, next: number) => {
    put(bytes.subarray(keptFrom, end));
    keptFrom = next;
  };
  for (const reader = new GoReader(bytes); !reader.isAtEnd; ) {
    const start = reader.at;
    const { number, wireType } = reader.tag();
    const field = fields(number);
    if (field?.wireType !== wireType) {
      reader.skip(number, wireType);
      keepTo(start, reader.at);
    } else if (wireType === WireType.Varint) {
      reader.varint();
    } else {
      const afterTag = reader.at;
      const content = reader.lengthDelimited();
      if (field.isText && !isUtf8(content)) throw new TypeError("a text is not UTF-8");
      const known = field.content && withoutUnknown(field.content, content, depth + 1);
      if (known === undefined) continue;
      keepTo(afterTag, reader.at);
      put(varintOf(known.length));
      put(known);
    }
  }
  if (shorter === undefined) return undefined;
  put(bytes.subarray(keptFrom));
  return shorter.subarray(0, length);
}

const known = new WeakMap<DescMessage, Fields>();

function fieldsOf(schema: DescMessage): Fields {
  const found = known.get(schema);
  if (found !== undefined) return found;
  const byNumber = new Map<number, Field>();
  const fields: Fields = (number) => byNumber.get(number);
  // Before its fields: a policy holds policies.
  known.set(schema, fields);
  for (const field of schema.fields) byNumber.set(field.number, fieldOf(field));
  return fields;
}

function fieldOf(field: DescField): Field {
  if (field.fieldKind === "map") {
    const entry = [
      scalarField(field.mapKey),
      field.mapKind === "message" ? messageField(field.message) : mapValueField(field),
    ];
    return { wireType: WireType.LengthDelimited, isText: false, content: (number) => entry[number - 1] };
  }
  if (field.message !== undefined) return messageField(field.message);
  const isNumberInList =
    field.fieldKind === "list" && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES;
  if (field.scalar === undefined || isNumberInList)
    throw new TypeError(`${field.name} is of a kind that Fabric's messages have not`);
  return scalarField(field.scalar);
}

function mapValueField(field: DescField & { fieldKind: "map" }): Field {
  if (field.mapKind !== "scalar") throw new TypeError(`${field.name} is of a kind that Fabric's messages have not`);
  return scalarField(field.scalar);
}

function messageField(schema: DescMessage): Field {
  return { wireType: WireType.LengthDelimited, isText: false, content: (number) => fieldsOf(schema)(number) };
}

function scalarField(type: ScalarType): Field {
  switch (type) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return { wireType: WireType.LengthDelimited, isText: type === ScalarType.STRING, content: undefined };
    case ScalarType.BOOL:
    case ScalarType.INT32:
    case ScalarType.INT64:
    case ScalarType.UINT32:
    case ScalarType.UINT64:
      return { wireType: WireType.Varint, isText: false, content: undefined };
    default:
      throw new TypeError(`no field of type ${ScalarType[type]} is in Fabric's messages`);
  }
}

/** Walks over the wire format as protowire does. All of its methods throw where bytes are cut short. */
class GoReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get at(): number {
    return this.#at;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  tag(maxNumber = maxFieldNumber): { readonly number: number; readonly wireType: WireType } {
    const tag = this.varint();
    const number = Math.floor(tag / 8);
    if (number < 1 || number > maxNumber) throw new RangeError("a field's number is out of range");
    return { number, wireType: tag % 8 };
  }

  /** In its shortest form or not, of 64 bits at most. Above 2^53 it is not told exactly. */
  varint(): number {
    let value = 0;
    let place = 1;
    for (let index = 1; index <= maxVarintBytes; index += 1) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) break;
      this.#at += 1;
      value += (byte & 0x7f) * place;
      place *= 0x80;
      if (byte < 0x80 && (index < maxVarintBytes || byte <= 1)) return value;
    }
    throw new RangeError("a number is cut short, or has more than 64 bits");
  }

  lengthDelimited(): Uint8Array {
    const length = this.varint();
    const start = this.#at;
    this.#pass(length);
    return this.#bytes.subarray(start, this.#at);
  }

  /** Passes over the value of a field. */
  skip(number: number, wireType: WireType): void {
    const groups: number[] = [];
    this.#skipOne(number, wireType, groups);
    while (groups.length > 0) {
      if (groups.length > maxGroupsWithin + 1) throw new RangeError("groups are nested too deeply");
      const inner = this.tag(maxNumberInGroup);
      this.#skipOne(inner.number, inner.wireType, groups);
    }
  }

  #skipOne(number: number, wireType: WireType, groups: number[]): void {
    switch (wireType) {
      case WireType.Varint:
        this.varint();
        return;
      case WireType.Bit32:
        this.#pass(4);
        return;
      case WireType.Bit64:
        this.#pass(8);
        return;
      case WireType.LengthDelimited:
        this.lengthDelimited();
        return;
      case WireType.StartGroup:
        groups.push(number);
        return;
      case WireType.EndGroup:
        if (groups.pop() !== number) throw new TypeError("a group ends that has not begun");
        return;
      default:
        throw new TypeError(`no value has wire type ${wireType}`);
    }
  }

  #pass(length: number): void {
    if (length > this.#bytes.length - this.#at) throw new RangeError("cut short");
    this.#at += length;
  }
}

function varintOf(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 0x80)) {
    if (rest < 0x80) return Uint8Array.of(...bytes, rest);
    bytes.push((rest % 0x80) | 0x80);
  }
}
