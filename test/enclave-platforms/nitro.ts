import { sign } from "node:crypto";
import { encode } from "cbor2";
import { issueCertificate, sha256, type TestCertificate } from "./certificates.ts";

/** AWS's side of Nitro Enclaves, under a root of the tests' own. */
export interface NitroStandIn {
  readonly root: TestCertificate;
  readonly ca: TestCertificate;
  readonly leaf: TestCertificate;
  /** What a verifier is given in the place of AWS's. */
  readonly rootHash: string;
}

/** Of three hours, as AWS's are. */
export async function createNitro(fromMs: number): Promise<NitroStandIn> {
  const root = await issueCertificate("aws.nitro-enclaves", { authorities: 1, curve: "P-384" });
  const ca = await issueCertificate("zonal", { issuer: root, authorities: 0, curve: "P-384" });
  const life = { from: new Date(fromMs), to: new Date(fromMs + 3 * 3_600_000) };
  const leaf = await issueCertificate("enclave", { issuer: ca, curve: "P-384", ...life });
  return { root, ca, leaf, rootHash: sha256(root.der).toString("hex") };
}

export type DocumentFields = Record<string, unknown>;

export function fieldsOf(nitro: NitroStandIn, userData: Buffer, timestampMs: number): DocumentFields {
  return {
    module_id: "i-0123456789abcdef0-enc0123456789abcdef0",
    digest: "SHA384",
    timestamp: timestampMs,
    pcrs: new Map(Array.from({ length: 5 }, (_, index) => [index, new Uint8Array(48).fill(0x10 + index)])),
    certificate: new Uint8Array(nitro.leaf.der),
    cabundle: [new Uint8Array(nitro.root.der), new Uint8Array(nitro.ca.der)],
    public_key: null,
    user_data: new Uint8Array(userData),
    nonce: null,
  };
}

/** A COSE_Sign1 over the fields, as the Nitro Secure Module writes it. */
export function documentOf(fields: DocumentFields | Uint8Array, by: TestCertificate): Buffer {
  const payload = fields instanceof Uint8Array ? fields : encode(new Map(Object.entries(fields)));
  const protectedHeader = encode(new Map([[1, -35]]));
  const toSign = encode(["Signature1", protectedHeader, new Uint8Array(0), payload]);
  const signature = sign("sha384", toSign, { key: by.key, dsaEncoding: "ieee-p1363" });
  return Buffer.from(encode([protectedHeader, new Map(), payload, new Uint8Array(signature)]));
}
