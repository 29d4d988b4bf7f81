import type { DescField, DescMessage } from "@bufbuild/protobuf";

/** A protobuf message as its fields stand on the wire, to be changed in ways that no encoder writes. */
export interface WireField {
  readonly field: DescField;
  readonly path: string;
  readonly wireType: number;
  /** Where it stands in the memory that it was parsed from: its first byte, and the one after its last. */
  readonly from: number;
  readonly to: number;
  /** A number, bytes, or the fields of a message within. */
  readonly value: bigint | Uint8Array | readonly WireField[];
}

export function parse(schema: DescMessage, bytes: Uint8Array, path: string = schema.name): WireField[] {
  const found: WireField[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const from = bytes.byteOffset + at;
    const tag = Number(varint());
    const field = schema.fields.find((one) => one.number === tag >> 3);
    if (field === undefined) throw new Error(`no field ${tag >> 3} in ${path}`);
    const wireType = tag & 7;
    const name = `${path}.${field.name}`;
    if (wireType === 0) {
      const value = varint();
      found.push({ field, path: name, wireType, from, to: bytes.byteOffset + at, value });
    } else {
      const length = Number(varint());
      const value = bytes.subarray(at, at + length);
      at += length;
      const isMessage = field.message !== undefined && field.fieldKind !== "map";
      const to = bytes.byteOffset + at;
      found.push({
        field,
        path: name,
        wireType,
        from,
        to,
        value: isMessage ? parse(field.message, value, name) : value,
      });
    }
  }
  return found;
}

export function serialize(fields: readonly WireField[], change: (field: WireField) => Uint8Array = one): Buffer {
  return Buffer.concat(fields.map((field) => change(withChanged(field, change))));
}

function withChanged(field: WireField, change: (field: WireField) => Uint8Array): WireField {
  return isMessage(field) ? { ...field, value: serialize(field.value, change) } : field;
}

function isMessage(field: WireField): field is WireField & { readonly value: readonly WireField[] } {
  return typeof field.value === "object" && !(field.value instanceof Uint8Array);
}

/** Every field, those within included. */
export function everyField(fields: readonly WireField[]): WireField[] {
  return fields.flatMap((field) => (isMessage(field) ? [field, ...everyField(field.value)] : [field]));
}

/** A field as encoders write it. */
export function one(field: WireField): Buffer {
  return Buffer.concat([varintOf((BigInt(field.field.number) << 3n) | BigInt(field.wireType)), encodedValue(field)]);
}

export function encodedValue({ value }: Pick<WireField, "value">): Buffer {
  if (typeof value === "bigint") return varintOf(value);
  if (!(value instanceof Uint8Array)) return encodedValue({ value: serialize(value) });
  return Buffer.concat([varintOf(BigInt(value.length)), value]);
}

/** @param padding - How many bytes more than it needs. */
export function varintOf(value: bigint, padding = 0): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push(Number(rest & 0x7fn));
    rest >>= 7n;
  } while (rest > 0n);
  for (let index = 0; index < padding; index += 1) bytes.push(0);
  return Buffer.from(bytes.map((byte, index) => (index < bytes.length - 1 ? byte | 0x80 : byte)));
}
