import assert from "node:assert/strict";
import { clone, type DescMessage, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  CCKeyRegistrationMessageSchema,
  ExportMessageSchema,
  GenerationProposalMessageSchema,
  RecoveryMessageSchema,
  ReleasedShareMessageSchema,
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
  SignedGenerationProposalMessageSchema,
  SignedRecoveryMessageSchema,
  SignedReleasedShareMessageSchema,
} from "../../../../src/enclave/messages/generated/fpc/key_dist_pb.ts";

const kinds = {
  registration: [SignedCCKeyRegistrationMessageSchema, CCKeyRegistrationMessageSchema],
  export: [SignedExportMessageSchema, ExportMessageSchema],
  proposal: [SignedGenerationProposalMessageSchema, GenerationProposalMessageSchema],
  recovery: [SignedRecoveryMessageSchema, RecoveryMessageSchema],
  release: [SignedReleasedShareMessageSchema, ReleasedShareMessageSchema],
} as const satisfies Record<string, readonly [DescMessage, DescMessage]>;

/** A signed message with one bit changed: once in each field of what is signed, in the signature, and in the type's name. */
export function flippedFields(kind: keyof typeof kinds, text: string): { field: string; argument: string }[] {
  const [outer, inner] = kinds[kind] as readonly [DescMessage, DescMessage];
  const signed = fromBinary(outer, Buffer.from(text, "base64"));
  const anyName = outer.fields.find((field) => field.number === 1)?.localName ?? "";
  const any = fieldsOf(signed)[anyName] as Any;
  const repack = (change: (any: Any, signed: Record<string, unknown>) => void) => {
    const copy = clone(outer, signed);
    change(fieldsOf(copy)[anyName] as Any, fieldsOf(copy));
    return Buffer.from(toBinary(outer, copy)).toString("base64");
  };
  const changes = inner.fields.map((field) => {
    const message = fromBinary(inner, any.value);
    fieldsOf(message)[field.localName] = flipped(fieldsOf(message)[field.localName]);
    const argument = repack((packed) => {
      packed.value = toBinary(inner, message);
    });
    return { field: field.name, argument };
  });
  const signature = repack((_, outside) => {
    outside.signature = flipped(outside.signature);
  });
  const typeUrl = repack((packed) => {
    packed.typeUrl = String(flipped(packed.typeUrl));
  });
  return [...changes, { field: "signature", argument: signature }, { field: "type_url", argument: typeUrl }];
}

function flipped(value: unknown): unknown {
  if (typeof value === "bigint") return value ^ 1n;
  if (typeof value === "number") return value ^ 1;
  if (typeof value === "string") return Buffer.from(flippedBytes(Buffer.from(value))).toString("latin1");
  if (value instanceof Uint8Array) return flippedBytes(value);
  assert(Array.isArray(value) && value.length > 0);
  const [element, ...others] = value as Record<string, unknown>[];
  const entries = Object.entries(element ?? {}).map(([name, field]) => [
    name,
    field instanceof Uint8Array ? flippedBytes(field) : field,
  ]);
  return [{ ...Object.fromEntries(entries) }, ...others];
}

/** The lowest bit of the byte in the middle. */
function flippedBytes(bytes: Uint8Array): Uint8Array {
  assert(bytes.length > 0);
  const copy = Uint8Array.from(bytes);
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

function fieldsOf(message: Message): Record<string, unknown> {
  return message as unknown as Record<string, unknown>;
}
