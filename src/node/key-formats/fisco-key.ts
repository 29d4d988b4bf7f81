import { generateKeyPairSync } from "node:crypto";
import { type CurveName, generateKeyPair } from "../../crypto/curve.ts";
import { writePrivateKey } from "../../crypto/pem.ts";
import { ecIdentity, spkiFingerprint } from "./ec-identity.ts";
import type { GeneratedKey } from "./format.ts";
import { pem } from "./pem.ts";
import { pemOf } from "./pem-text.ts";

/** The key files of FISCO BCOS nodes, with their curve: `rsa` is what version 3's build_chain makes for TLS. */
export const fiscoKeyFiles = {
  "node.pem": { fisco: "secp256k1", "fisco-sm": "sm2" },
  "node.key": { fisco: "secp256k1" },
  "gmnode.key": { "fisco-sm": "sm2" },
  "ssl.key": { fisco: "rsa" },
  "sm_ssl.key": { "fisco-sm": "sm2" },
  "sm_enssl.key": { "fisco-sm": "sm2" },
} as const satisfies Readonly<Record<string, Partial<Record<FiscoKind, CurveName | "rsa">>>>;
export type FiscoKeyFile = keyof typeof fiscoKeyFiles;
type FiscoKind = "fisco" | "fisco-sm";

const rsaBits = 2048;

/**
 * A fresh key of a FISCO BCOS node, in PKCS#8 PEM (version 2's encrypt_node_key.sh takes no other). The node id of node.pem,
 * node.key and gmnode.key is `identity.nodeId`.
 *
 * @throws {RangeError} For a file that this kind of node does not have.
 */
export function generateFiscoKey(kind: FiscoKind, fileName: FiscoKeyFile): GeneratedKey {
  const curves: Partial<Record<FiscoKind, CurveName | "rsa">> = fiscoKeyFiles[fileName];
  const curve = curves[kind];
  if (curve === undefined) throw new RangeError(`a ${kind} node has no ${fileName}`);
  if (curve === "rsa") return { format: pem.name, fileName, ...generateRsa() };
  const { scalar, publicKey } = generateKeyPair(curve);
  using _ = scalar;
  const file = writePrivateKey(curve, scalar, "pkcs8");
  return { format: pem.name, fileName, file, identity: ecIdentity(curve, publicKey) };
}

function generateRsa(): Pick<GeneratedKey, "file" | "identity"> {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", {
    modulusLength: rsaBits,
    privateKeyEncoding: { type: "pkcs8", format: "der" },
    publicKeyEncoding: { type: "spki", format: "der" },
  });
  const file = pemOf("PRIVATE KEY", privateKey);
  privateKey.fill(0);
  return { file, identity: { algorithm: "rsa", fingerprint: spkiFingerprint(publicKey) } };
}
