import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { DerReader, der, derTags } from "../../crypto/der.ts";
import { keyTypes, mechanisms } from "./constants.ts";

interface EdwardsCurve {
  readonly kind: "edwards";
  readonly keyType: number;
  readonly generate: number;
  readonly sign: number;
  readonly pointBytes: number;
  readonly signatureBytes: number;
  /** CKA_EC_PARAMS; the first is what keys are made with, all are taken. */
  readonly params: readonly Buffer[];
  readonly algorithm: Buffer;
}
interface WeierstrassCurve extends Omit<EdwardsCurve, "kind"> {
  readonly kind: "weierstrass";
  readonly bits: number;
  readonly scalarBytes: number;
  readonly order: bigint;
}

/** Names of objects, SEC 2 and RFC 5480, 8410. */
const objectIds = {
  ecPublicKey: "2a8648ce3d0201",
  p256: "2a8648ce3d030107",
  p384: "2b81040022",
  p521: "2b81040023",
  secp256k1: "2b8104000a",
  ed25519: "2b6570",
} as const;

function objectId(hex: string): Buffer {
  return der(derTags.objectIdentifier, Buffer.from(hex, "hex"));
}

function weierstrass(id: string, bits: number, order: bigint): WeierstrassCurve {
  const scalarBytes = Math.ceil(bits / 8);
  return {
    kind: "weierstrass",
    keyType: keyTypes.ec,
    generate: mechanisms.ecKeyPairGen,
    sign: mechanisms.ecdsa,
    bits,
    scalarBytes,
    pointBytes: 1 + 2 * scalarBytes,
    signatureBytes: 2 * scalarBytes,
    params: [objectId(id)],
    algorithm: der(derTags.sequence, objectId(objectIds.ecPublicKey), objectId(id)),
    order,
  };
}

const printableString = 0x13;

/** Curves that keys are made on, by our key specs' names; orders from SEC 2 and FIPS 186-5. */
export const curves = {
  ECC_NIST_P256: weierstrass(objectIds.p256, 256, 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n),
  ECC_NIST_P384: weierstrass(
    objectIds.p384,
    384,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  ),
  ECC_NIST_P521: weierstrass(
    objectIds.p521,
    521,
    0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  ),
  ECC_SECG_P256K1: weierstrass(
    objectIds.secp256k1,
    256,
    0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n,
  ),
  /** PKCS#11 3.0 names the curve by its object id; modules of before it by a PrintableString. */
  ED25519: {
    kind: "edwards",
    keyType: keyTypes.ecEdwards,
    generate: mechanisms.ecEdwardsKeyPairGen,
    sign: mechanisms.eddsa,
    pointBytes: 32,
    signatureBytes: 64,
    params: [objectId(objectIds.ed25519), der(printableString, Buffer.from("edwards25519"))],
    algorithm: der(derTags.sequence, objectId(objectIds.ed25519)),
  },
} as const satisfies Readonly<Record<string, EdwardsCurve | WeierstrassCurve>>;

export type CurveName = keyof typeof curves;
/** Curves whose keys sign by ECDSA. */
export type EcdsaCurve = Exclude<CurveName, "ED25519">;

export function isCurveName(name: string): name is CurveName {
  return Object.hasOwn(curves, name);
}

/** The curve of CKA_EC_PARAMS; undefined for one that is not of ours. */
export function curveOfParams(params: Uint8Array): CurveName | undefined {
  for (const name of Object.keys(curves))
    if (isCurveName(name) && curves[name].params.some((known) => known.equals(params))) return name;
  return undefined;
}

/**
 * The point in CKA_EC_POINT: a DER OCTET STRING by the standard, the bare point from some vendors' modules. Undefined for
 * anything else, compressed points among it.
 */
export function pointOfAttribute(name: CurveName, attribute: Uint8Array): Buffer | undefined {
  const { pointBytes, kind } = curves[name];
  const bytes = Buffer.from(attribute);
  const point = bytes.length === pointBytes ? bytes : octets(bytes);
  if (point?.length !== pointBytes || (kind === "weierstrass" && point[0] !== 4)) return undefined;
  return point;
}

function octets(bytes: Buffer): Buffer | undefined {
  try {
    const reader = new DerReader(bytes, () => new RangeError("not DER"));
    const content = reader.read(derTags.octetString);
    reader.end();
    return content;
  } catch {
    return undefined;
  }
}

/** SubjectPublicKeyInfo (RFC 5480, 8410), DER. */
export function spkiOfPoint(name: CurveName, point: Uint8Array): Buffer {
  return der(derTags.sequence, curves[name].algorithm, der(derTags.bitString, Buffer.of(0), point));
}

export function spkiKeyObject(spki: Buffer): KeyObject {
  return createPublicKey({ key: spki, format: "der", type: "spki" });
}

/** SHA-256 of the SubjectPublicKeyInfo: what tells that a key is still the one that was registered. */
export function fingerprintOf(spki: Uint8Array): Buffer {
  return createHash("sha256").update(spki).digest();
}
