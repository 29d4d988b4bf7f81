import { DerReader, derTags } from "../../crypto/der.ts";
import { sha256 } from "./low-s.ts";

const boolean = 0x01;
const explicit3 = 0xa3;
const trueByte = 0xff;
const oids = { basicConstraints: "551d13", keyUsage: "551d0f" } as const;
/** KeyUsage's sixth bit (RFC 5280 section 4.2.1.3). */
const certSign = 0x04;

/** What Fabric's peers look at of a certificate beside its subject, its dates and its key (RFC 5280 section 4.1). */
export interface CertificateParts {
  /** Content of the TBSCertificate. */
  readonly body: Buffer;
  /** Content of the Name, as it is encoded. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Content of its object identifier. */
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  /** By the object identifier's content in hex. */
  readonly extensions: ReadonlyMap<string, { readonly isCritical: boolean; readonly value: Buffer }>;
}

/**
 * @param der - An X.509 certificate that OpenSSL reads
 * @throws RangeError: not in DER as Go reads it, or an extension twice
 */
export function readCertificateParts(der: Uint8Array): CertificateParts {
  const outer = reader(der);
  const certificate = outer.enter(derTags.sequence);
  outer.end();
  const body = certificate.read(derTags.sequence);
  const signatureAlgorithm = certificate.enter(derTags.sequence).read(derTags.objectIdentifier);
  const signature = certificate.read(derTags.bitString);
  certificate.end();
  const fields = reader(body);
  if (fields.peek() === derTags.explicit0) fields.read(derTags.explicit0);
  fields.read(derTags.integer);
  fields.read(derTags.sequence);
  const issuer = fields.read(derTags.sequence);
  fields.read(derTags.sequence);
  const subject = fields.read(derTags.sequence);
  fields.read(derTags.sequence);
  while (fields.peek() !== undefined && fields.peek() !== explicit3) fields.read(fields.peek() ?? 0);
  const extensions = fields.peek() === undefined ? new Map() : readExtensions(fields.enter(explicit3));
  fields.end();
  return { body, issuer, subject, signatureAlgorithm, signature, extensions };
}

/**
 * A name for a certificate that is the same for all that Fabric's peers take for one: they first change its ECDSA signature to the one with the
 * lower S. Two signatures over the same bytes with the same R differ in that alone.
 *
 * @returns SHA-256
 */
export function certificateName(der: Uint8Array): Buffer {
  try {
    const { body, signature } = readCertificateParts(der);
    return sha256(sha256(body), signatureWithoutS(signature));
  } catch {
    return sha256(der);
  }
}

/** Whether it may sign certificates, as Go has it: one that does not say what its key is for may. @throws RangeError */
export function isAuthority({ extensions }: CertificateParts): boolean {
  return saysAuthority({ extensions }) && ((keyUsage({ extensions }) ?? certSign) & certSign) !== 0;
}

/** Whether it says CA:TRUE, whatever its key is for. @throws RangeError */
export function saysAuthority({ extensions }: Pick<CertificateParts, "extensions">): boolean {
  const found = extensions.get(oids.basicConstraints);
  if (found === undefined) return false;
  const constraints = reader(found.value).enter(derTags.sequence);
  return constraints.peek() === boolean && readTrue(constraints);
}

/** How many authorities may stand between this one and the end of a path; undefined where it says nothing. @throws RangeError */
export function pathLength({ extensions }: CertificateParts): number | undefined {
  const found = extensions.get(oids.basicConstraints);
  if (found === undefined) return undefined;
  const constraints = reader(found.value).enter(derTags.sequence);
  if (constraints.peek() === boolean) readTrue(constraints);
  return constraints.peek() === undefined ? undefined : constraints.readUnsigned(4).readUInt32BE();
}

/** The first eight bits, the first of them highest. */
function keyUsage({ extensions }: Pick<CertificateParts, "extensions">): number | undefined {
  const found = extensions.get(oids.keyUsage);
  return found && reader(found.value).read(derTags.bitString)[1];
}

function readExtensions(explicit: DerReader): CertificateParts["extensions"] {
  const list = explicit.enter(derTags.sequence);
  const extensions = new Map<string, { readonly isCritical: boolean; readonly value: Buffer }>();
  while (list.peek() !== undefined) {
    const extension = list.enter(derTags.sequence);
    const name = extension.read(derTags.objectIdentifier).toString("hex");
    const isCritical = extension.peek() === boolean && readTrue(extension);
    if (extensions.has(name)) throw new RangeError("an extension twice");
    extensions.set(name, { isCritical, value: extension.read(derTags.octetString) });
  }
  return extensions;
}

function readTrue(from: DerReader): boolean {
  const [byte, ...more] = from.read(boolean);
  if (more.length > 0 || (byte !== 0 && byte !== trueByte)) throw new RangeError("neither true nor false");
  return byte === trueByte;
}

/** R of an ECDSA signature; another signature as it is. */
function signatureWithoutS(bits: Buffer): Buffer {
  try {
    return reader(bits.subarray(1)).enter(derTags.sequence).read(derTags.integer);
  } catch {
    return bits;
  }
}

function reader(bytes: Uint8Array): DerReader {
  return new DerReader(bytes, () => new RangeError("not a certificate in DER"));
}
