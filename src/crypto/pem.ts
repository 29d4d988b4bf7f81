import { decodeBase64, encodeBase64 } from "./base64.ts";
import { type CurveName, curves, ecPublicKeyOid, publicKeyOf, scalarBytes } from "./curve.ts";
import { DerReader, der, derTags } from "./der.ts";
import { CryptoError } from "./errors.ts";
import { SecretBuffer } from "./secret-buffer.ts";

/** `pkcs8`: RFC 5208 `PRIVATE KEY`. `sec1`: RFC 5915 `EC PRIVATE KEY`. */
export type KeyEncoding = "pkcs8" | "sec1";

export interface PrivateKeyFile {
  readonly curve: CurveName;
  readonly encoding: KeyEncoding;
  /** 32 bytes, big-endian, leading zeros kept. The caller disposes of it. */
  readonly scalar: SecretBuffer;
  /** `04 ‖ X ‖ Y` (65 bytes), derived from the scalar. */
  readonly publicKey: Buffer;
}

/** An EC key file is under 400 bytes; this leaves room for line ends and a parameters block. */
export const maxKeyFileBytes = 4096;
const maxLineBytes = 76;
const labels = { pkcs8: "PRIVATE KEY", sec1: "EC PRIVATE KEY" } as const;

/**
 * Reads an unencrypted PEM private key on SM2, secp256k1 or P-256, as written by OpenSSL, TASSL and FISCO BCOS.
 *
 * The text is strict: one `PRIVATE KEY` or `EC PRIVATE KEY` block (an `EC PARAMETERS` block may stand before it and must
 * name the same curve), lines of at most 76 characters, canonical base64, DER. The public point is computed from the
 * scalar and compared with the one in the file. A scalar shorter than 32 bytes (old writers drop leading zeros) is
 * accepted only when the file's own public point confirms it.
 *
 * @param bytes - The file, at most 4096 bytes. It stays the caller's to wipe.
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for everything else.
 */
export function readPrivateKey(bytes: Uint8Array): PrivateKeyFile {
  if (bytes.length > maxKeyFileBytes)
    throw invalid(`the key file has ${bytes.length} bytes, the most is ${maxKeyFileBytes}`);
  const blocks = readBlocks(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  try {
    const key = blocks.at(-1);
    const parameters = blocks.length === 2 ? blocks[0] : undefined;
    if (key === undefined || blocks.length > 2 || (parameters !== undefined && parameters.label !== "EC PARAMETERS"))
      throw invalid("the key file is not one PEM private key");
    const named = parameters && readCurve(new DerReader(parameters.content, invalid));
    const encoding: KeyEncoding | undefined =
      key.label === labels.pkcs8 ? "pkcs8" : key.label === labels.sec1 ? "sec1" : undefined;
    if (encoding === undefined) throw invalid(`a PEM block of this kind is not read here: ${key.label}`);
    const read = encoding === "pkcs8" ? readPkcs8(key.content) : readSec1(key.content, undefined);
    if (named !== undefined && named !== read.curve) {
      read.scalar[Symbol.dispose]();
      throw invalid("the EC PARAMETERS block names another curve than the key");
    }
    return { ...read, encoding };
  } finally {
    for (const block of blocks) block.content.fill(0);
  }
}

/**
 * Writes the PEM text of a private key, byte for byte as OpenSSL does: the public point is included, the curve is named by
 * its OID, lines have 64 characters and end in LF.
 *
 * @throws {CryptoError} `KEY_FORMAT_INVALID` for a scalar out of the curve's range.
 */
export function writePrivateKey(curve: CurveName, scalar: SecretBuffer, encoding: KeyEncoding): SecretBuffer {
  using content = writePrivateKeyDer(curve, scalar, encoding);
  return content.expose((bytes) => armour(labels[encoding], bytes));
}

/** The DER inside {@link writePrivateKey}, which names its errors. */
export function writePrivateKeyDer(curve: CurveName, scalar: SecretBuffer, encoding: KeyEncoding): SecretBuffer {
  const publicKey = publicKeyOf(curve, scalar);
  const point = der(derTags.explicit1, der(derTags.bitString, Buffer.of(0), publicKey));
  const curveOid = der(derTags.objectIdentifier, curves[curve].oid);
  const parameters = encoding === "sec1" ? der(derTags.explicit0, curveOid) : Buffer.of();
  const octets = scalar.expose((bytes) => der(derTags.octetString, bytes));
  const sec1 = der(derTags.sequence, der(derTags.integer, Buffer.of(1)), octets, parameters, point);
  octets.fill(0);
  if (encoding === "sec1") return SecretBuffer.take(sec1);
  const algorithm = der(derTags.sequence, der(derTags.objectIdentifier, ecPublicKeyOid), curveOid);
  const inner = der(derTags.octetString, sec1);
  sec1.fill(0);
  const pkcs8 = der(derTags.sequence, der(derTags.integer, Buffer.of(0)), algorithm, inner);
  inner.fill(0);
  return SecretBuffer.take(pkcs8);
}

type ReadKey = Omit<PrivateKeyFile, "encoding">;

/** PrivateKeyInfo: version 0, AlgorithmIdentifier, OCTET STRING of an ECPrivateKey; attributes are refused. */
function readPkcs8(content: Buffer): ReadKey {
  const outer = new DerReader(content, invalid);
  const info = outer.enter(derTags.sequence);
  outer.end();
  if (!info.read(derTags.integer).equals(Buffer.of(0))) throw invalid("the PKCS#8 version is not 0");
  const algorithm = info.enter(derTags.sequence);
  if (!algorithm.read(derTags.objectIdentifier).equals(ecPublicKeyOid)) throw invalid("the key is not an EC key");
  const curve = readCurve(algorithm);
  const inner = info.read(derTags.octetString);
  info.end();
  return readSec1(inner, curve);
}

/** ECPrivateKey (RFC 5915): version 1, scalar, [0] curve, [1] public point; the last two are optional. */
function readSec1(content: Buffer, outerCurve: CurveName | undefined): ReadKey {
  const outer = new DerReader(content, invalid);
  const key = outer.enter(derTags.sequence);
  outer.end();
  if (!key.read(derTags.integer).equals(Buffer.of(1))) throw invalid("the EC private key version is not 1");
  const octets = key.read(derTags.octetString);
  const ownCurve = key.peek() === derTags.explicit0 ? readCurve(key.enter(derTags.explicit0)) : undefined;
  const point = key.peek() === derTags.explicit1 ? readPoint(key.enter(derTags.explicit1)) : undefined;
  key.end();
  const curve = ownCurve ?? outerCurve;
  if (curve === undefined) throw invalid("the EC private key does not name its curve");
  if (outerCurve !== undefined && outerCurve !== curve) throw invalid("the key file names two curves");
  if (octets.length > scalarBytes || (octets.length < scalarBytes && point === undefined))
    throw invalid(`the private scalar has ${octets.length} bytes, expected ${scalarBytes}`);
  const padded = Buffer.alloc(scalarBytes);
  padded.set(octets, scalarBytes - octets.length);
  const scalar = SecretBuffer.take(padded);
  try {
    const publicKey = publicKeyOf(curve, scalar);
    if (point !== undefined && !samePoint(publicKey, point))
      throw invalid("the public point in the key file is not that of its private scalar");
    return { curve, scalar, publicKey };
  } catch (error) {
    scalar[Symbol.dispose]();
    throw error;
  }
}

/** A curve named by OID; explicit parameters are refused, they could describe a weak curve. */
function readCurve(reader: DerReader): CurveName {
  const oid = reader.read(derTags.objectIdentifier);
  reader.end();
  for (const name of Object.keys(curves) as CurveName[]) if (curves[name].oid.equals(oid)) return name;
  throw invalid("the curve is not SM2, secp256k1 or P-256");
}

function readPoint(reader: DerReader): Buffer {
  const bits = reader.read(derTags.bitString);
  reader.end();
  if (bits[0] !== 0) throw invalid("the public point is not a whole number of bytes");
  return bits.subarray(1);
}

/** True for the uncompressed or the compressed form of the derived point. */
function samePoint(publicKey: Buffer, point: Buffer): boolean {
  if (point.length !== 33) return publicKey.equals(point);
  const sign = 2 | ((publicKey.at(-1) ?? 0) & 1);
  return point[0] === sign && point.subarray(1).equals(publicKey.subarray(1, 33));
}

interface PemBlock {
  readonly label: string;
  readonly content: Buffer;
}

/** Splits the file into blocks. Labels become strings, contents never do. */
function readBlocks(file: Buffer): PemBlock[] {
  const blocks: PemBlock[] = [];
  let label: string | undefined;
  const base64 = Buffer.alloc(file.length);
  let used = 0;
  try {
    for (const line of lines(file)) {
      const boundary = /^-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----$/.exec(
        line[0] === 0x2d ? line.toString("latin1") : "",
      );
      if (label === undefined) {
        if (boundary?.[1] !== "BEGIN") throw invalid("the key file does not begin with a PEM block");
        label = boundary[2] ?? "";
      } else if (boundary !== null) {
        if (boundary[1] !== "END" || boundary[2] !== label) throw invalid("a PEM block does not end as it begins");
        const content = decodeBase64(base64.subarray(0, used));
        if (content === undefined) throw invalid("a PEM block is not canonical base64 (encrypted keys are not read)");
        blocks.push({ label, content });
        label = undefined;
        used = 0;
      } else {
        if (line.length === 0 || line.length > maxLineBytes)
          throw invalid("a PEM line is empty or too long (encrypted keys are not read)");
        line.copy(base64, used);
        used += line.length;
      }
    }
    if (label !== undefined) throw invalid("a PEM block has no end");
    return blocks;
  } catch (error) {
    for (const block of blocks) block.content.fill(0);
    throw error;
  } finally {
    base64.fill(0);
  }
}

/** The lines of a text that end in LF or CR LF; the last line end may be absent. */
function* lines(file: Buffer): Generator<Buffer> {
  for (let start = 0; start < file.length; ) {
    const lineEnd = file.indexOf(0x0a, start);
    const end = lineEnd === -1 ? file.length : lineEnd;
    yield file.subarray(start, lineEnd > start && file[end - 1] === 0x0d ? end - 1 : end);
    start = end + 1;
  }
}

/** PEM text of DER bytes. */
function armour(label: string, content: Buffer): SecretBuffer {
  const base64 = encodeBase64(content);
  const parts: Buffer[] = [Buffer.from(`-----BEGIN ${label}-----\n`)];
  for (let at = 0; at < base64.length; at += 64) parts.push(base64.subarray(at, at + 64), Buffer.from("\n"));
  parts.push(Buffer.from(`-----END ${label}-----\n`));
  const text = Buffer.concat(parts);
  base64.fill(0);
  return SecretBuffer.take(text);
}

function invalid(message?: string): CryptoError {
  return new CryptoError("KEY_FORMAT_INVALID", message);
}
