import { CryptoError } from "../crypto/errors.ts";
import { deviceAlgorithms, openBox, readBoxHeader, sealBox } from "../crypto/sealed-box.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { type SuiteName, suites } from "../crypto/suite.ts";
import { VolumeError } from "./errors.ts";
import { deriveVolumeKey } from "./sub-key.ts";
import { type VolumeDescription, type VolumeKind, volumeKinds } from "./volume.ts";

/** No header is larger; a longer file is refused unread. */
export const maxHeaderBytes = 8192;
const maxDescriptionBytes = 4096;
const magic = Buffer.from("SRVH");
const format = 1;
const fixedBytes = 4 + 1 + 2;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const parameterName = /^[a-z][a-zA-Z]{0,31}$/;
const maxParameterValueLength = 256;

/**
 * The header file of a volume:
 *
 *     "SRVH" (4) ‖ format = 1 (1) ‖ description length (u16) ‖ description ‖ sealed box (to the end)
 *
 * The description is JSON with sorted names and no white space: `{"kind","parameters","suite","volumeId"}`. The box has
 * type `volume`, key id = the volume id, key version 1, no plaintext, the context `{volume: description}`, and for its
 * secret 32 bytes derived from the data key. Its commitment is the key-check value: it is compared in constant time.
 */
export function encodeVolumeHeader(description: VolumeDescription, dataKey: SecretBuffer): Buffer {
  const text = encodeDescription(description);
  using secret = deriveVolumeKey(description, dataKey, "header", 32);
  const box = sealBox(
    {
      suite: suites[description.suite],
      type: "volume",
      keyId: description.volumeId,
      keyVersion: 1,
      deviceAlgorithm: deviceAlgorithms.soft,
      deviceBlob: Buffer.alloc(0),
    },
    secret,
    { volume: text },
    Buffer.alloc(0),
  );
  const fixed = Buffer.alloc(fixedBytes);
  magic.copy(fixed, 0);
  fixed.writeUInt8(format, 4);
  fixed.writeUInt16BE(Buffer.byteLength(text), 5);
  return Buffer.concat([fixed, Buffer.from(text), box]);
}

/**
 * Reads the description, which is not trusted until {@link verifyVolumeHeader} has succeeded.
 *
 * @throws {VolumeError} `VOLUME_HEADER_INVALID` for anything that {@link encodeVolumeHeader} would not have written.
 */
export function readVolumeHeader(file: Uint8Array): VolumeDescription {
  return parse(file).description;
}

/**
 * Proves that `dataKey` is this volume's and that no bit of the header was changed.
 *
 * @throws {VolumeError} `VOLUME_HEADER_INVALID` when it is no header at all, `VOLUME_WRONG_KEY` for every other reason.
 */
export function verifyVolumeHeader(file: Uint8Array, dataKey: SecretBuffer): VolumeDescription {
  const { description, text, box } = parse(file);
  using secret = deriveVolumeKey(description, dataKey, "header", 32);
  try {
    openBox(box, "volume", secret, { volume: text })[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
    throw new VolumeError(
      "VOLUME_WRONG_KEY",
      `the data key does not open the header of volume ${description.volumeId}: it is another volume's key, or the ` +
        "header was altered; nothing was touched. Unwrap the data key that was made for this volume, or restore " +
        "volume.header from a backup",
    );
  }
  return description;
}

function parse(input: Uint8Array): { description: VolumeDescription; text: string; box: Buffer } {
  const file = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  if (file.length > maxHeaderBytes) throw invalid(`it has ${file.length} bytes, the most is ${maxHeaderBytes}`);
  if (file.length < fixedBytes || !file.subarray(0, 4).equals(magic)) throw invalid("it does not begin with SRVH");
  if (file.readUInt8(4) !== format) throw invalid(`its format is ${file.readUInt8(4)}, known is ${format}`);
  const textEnd = fixedBytes + file.readUInt16BE(5);
  if (textEnd > fixedBytes + maxDescriptionBytes || textEnd > file.length) throw invalid("it is cut");
  const bytes = file.subarray(fixedBytes, textEnd);
  const description = parseDescription(bytes.toString("utf8"));
  const text = encodeDescription(description);
  if (!Buffer.from(text).equals(bytes)) throw invalid("its description is not in canonical form");
  const box = file.subarray(textEnd);
  try {
    const header = readBoxHeader(box);
    if (header.type !== "volume" || header.keyId !== description.volumeId || header.suite.name !== description.suite)
      throw invalid("its sealed box is of another volume");
  } catch (error) {
    throw error instanceof CryptoError ? invalid("its sealed box is cut or altered") : error;
  }
  return { description, text, box };
}

function encodeDescription({ kind, parameters, suite, volumeId }: VolumeDescription): string {
  const sorted = Object.fromEntries(Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  return JSON.stringify({ kind, parameters: sorted, suite, volumeId });
}

function parseDescription(text: string): VolumeDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid("its description is not JSON");
  }
  if (!isRecord(value)) throw invalid("its description is not an object");
  const { kind, parameters, suite, volumeId, ...others } = value;
  if (Object.keys(others).length > 0) throw invalid("its description has unknown names");
  if (!isKind(kind)) throw invalid(`its kind is unknown to this version`);
  if (!isSuite(suite)) throw invalid("its suite is unknown to this version");
  if (typeof volumeId !== "string" || !uuidPattern.test(volumeId)) throw invalid("its volume id is not a UUID");
  if (!isRecord(parameters)) throw invalid("its parameters are not an object");
  const checked: Record<string, string> = {};
  for (const [name, setting] of Object.entries(parameters)) {
    if (!parameterName.test(name) || typeof setting !== "string" || setting.length > maxParameterValueLength)
      throw invalid("it has a parameter that is not a short text");
    checked[name] = setting;
  }
  return { kind, volumeId, suite, parameters: checked };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isKind(value: unknown): value is VolumeKind {
  return volumeKinds.some((kind) => kind === value);
}

function isSuite(value: unknown): value is SuiteName {
  return typeof value === "string" && Object.hasOwn(suites, value);
}

function invalid(reason: string): VolumeError {
  return new VolumeError(
    "VOLUME_HEADER_INVALID",
    `the volume header cannot be read: ${reason}; restore volume.header from a backup`,
  );
}
