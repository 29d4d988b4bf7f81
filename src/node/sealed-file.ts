import { createHash } from "node:crypto";
import type { Context } from "../crypto/context.ts";
import { CryptoError } from "../crypto/errors.ts";
import { deviceAlgorithms, maxBoxPlaintextBytes, openBox, sealBox } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import type { Suite } from "../crypto/suite.ts";
import { NodeError } from "./errors.ts";
import { identityLine, type PublicIdentity } from "./key-formats/format.ts";

/** What a sealed file says of itself, readable by anyone and authenticated by the box. */
export interface SealedMetadata {
  readonly name: string;
  readonly node: string;
  readonly network: string;
  /** Name of a key format. */
  readonly format: string;
  readonly publicIdentity: PublicIdentity;
  /** Which key of this name it is: from 1, raised when the key is replaced. */
  readonly version: number;
  /** ISO 8601 in UTC. */
  readonly sealedAt: string;
}

/** The data key that a file is under. */
export interface DataKeyName {
  readonly suite: Suite;
  readonly id: string;
  readonly version: number;
}

const magic = Buffer.from("SRSF");
/** Format 1 had no version of the key and bound neither that nor the key's kind by name; its files are version 1. */
const formats = [1, 2] as const;
type Format = (typeof formats)[number];
const newest: Format = 2;
const fixedBytes = 7;
const maxMetadataBytes = 4096;
/** Metadata, box header and the largest plaintext. */
export const maxSealedFileBytes = fixedBytes + maxMetadataBytes + maxBoxPlaintextBytes + 512;

/**
 * Seals a file under the node's data key:
 *
 *     "SRSF" (4) ‖ format = 2 (1) ‖ metadata length (u16) ‖ metadata (JSON, UTF-8) ‖ sealed box of type `file`
 *
 * The box's secret S is the data key, its device algorithm 2 (`dataKey`), its key id and version the data key's. Its context is
 * network, node, purpose `sealed-file`, name, kind (the key format), publicIdentity, version (of the key, decimal) and metadata
 * (SHA-256 of the metadata bytes, hex).
 */
export function encodeSealedFile(
  metadata: SealedMetadata,
  key: DataKeyName,
  dataKey: SecretBuffer,
  plaintext: SecretBuffer,
): Buffer {
  const text = Buffer.from(JSON.stringify(metadata));
  if (text.length > maxMetadataBytes)
    throw new NodeError("INPUT_INVALID", `the metadata has ${text.length} bytes, the most is ${maxMetadataBytes}`);
  const header = {
    suite: key.suite,
    type: "file",
    keyId: key.id,
    keyVersion: key.version,
    deviceAlgorithm: deviceAlgorithms.dataKey,
    deviceBlob: Buffer.alloc(0),
  } as const;
  const box = plaintext.expose((bytes) => sealBox(header, dataKey, contextOf(newest, metadata, text), bytes));
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed);
  fixed.writeUInt8(newest, 4);
  fixed.writeUInt16BE(text.length, 5);
  return Buffer.concat([fixed, text, box]);
}

/**
 * Reads what a sealed file says of itself; nothing is proven until {@link openSealedFile} has succeeded.
 *
 * @throws {NodeError} `SEALED_FILE_DAMAGED`.
 */
export function readSealedMetadata(file: Buffer): SealedMetadata {
  return split(file).metadata;
}

/**
 * Opens a sealed file of this node. The caller disposes of the result.
 *
 * @throws {NodeError} `SEALED_FILE_DAMAGED`: one error for a changed bit, a cut, another node, another key.
 */
export function openSealedFile(
  file: Buffer,
  owner: { readonly node: string; readonly network: string },
  dataKey: SecretBuffer,
): { readonly metadata: SealedMetadata; readonly plaintext: SecretBuffer } {
  const { format, metadata, text, box } = split(file);
  if (metadata.node !== owner.node || metadata.network !== owner.network) throw damaged();
  try {
    return { metadata, plaintext: openBox(box, "file", dataKey, contextOf(format, metadata, text)) };
  } catch (error) {
    if (error instanceof CryptoError) throw damaged(error);
    throw error;
  }
}

function contextOf(format: Format, metadata: SealedMetadata, text: Buffer): Context {
  return {
    network: metadata.network,
    node: metadata.node,
    purpose: "sealed-file",
    name: metadata.name,
    publicIdentity: identityLine(metadata.publicIdentity),
    ...(format === 1 ? {} : { kind: metadata.format, version: String(metadata.version) }),
    metadata: createHash("sha256").update(text).digest("hex"),
  };
}

function split(file: Buffer): { format: Format; metadata: SealedMetadata; text: Buffer; box: Buffer } {
  if (file.length < fixedBytes || file.length > maxSealedFileBytes || !file.subarray(0, 4).equals(magic))
    throw damaged();
  const length = file.readUInt16BE(5);
  const format = formats.find((known) => known === file.readUInt8(4));
  if (format === undefined || length > maxMetadataBytes || file.length < fixedBytes + length) throw damaged();
  const text = file.subarray(fixedBytes, fixedBytes + length);
  return { format, metadata: parseMetadata(format, text), text, box: file.subarray(fixedBytes + length) };
}

const members = ["name", "node", "network", "format", "publicIdentity", "sealedAt"];
const identityMembers = ["algorithm", "nodeId", "address", "publicKey", "fingerprint"];

function parseMetadata(format: Format, text: Buffer): SealedMetadata {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (cause) {
    throw damaged(cause);
  }
  const expected = format === 1 ? members : [...members, "version"];
  if (!isTextTable(value, expected, ["publicIdentity", "version"])) throw damaged();
  if (expected.some((name) => !Object.hasOwn(value, name))) throw damaged();
  const version = format === 1 ? 1 : value.version;
  if (typeof version !== "number" || !Number.isSafeInteger(version) || version < 1) throw damaged();
  const identity: unknown = value.publicIdentity;
  if (!isTextTable(identity, identityMembers, []) || !Object.hasOwn(identity, "algorithm")) throw damaged();
  return { ...(value as unknown as SealedMetadata), version };
}

/** An object with no members but `known`, all of them texts but those in `other`. */
function isTextTable(
  value: unknown,
  known: readonly string[],
  other: readonly string[],
): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, member]) => known.includes(name) && (other.includes(name) || typeof member === "string"),
  );
}

function damaged(cause?: unknown): NodeError {
  return new NodeError("SEALED_FILE_DAMAGED", undefined, { cause });
}
