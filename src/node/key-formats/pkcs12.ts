import { DerReader, derTags } from "../../crypto/der.ts";
import { NodeError } from "../errors.ts";
import { fileFingerprint } from "./ec-identity.ts";
import type { KeyFormat } from "./format.ts";

const maxPkcs12Bytes = 32_768;
/** Content of id-data, 1.2.840.113549.1.7.1. */
const dataOid = Buffer.from("2a864886f70d010701", "hex");
/** 1.2.840.113549.1.5.14: a MAC whose key is PBKDF2's (RFC 9579). */
const pbmac1Oid = Buffer.from("2a864886f70d01050e", "hex");
const version = Buffer.of(3);
/** Of the MAC's key: what OpenSSL works off in one go, before it knows the password right. */
const maxMacIterations = 10_000_000;

/**
 * PKCS#12 (RFC 7292), in its modern (PBES2 with AES) and its older (3DES) dress: TLS keys of Besu, Tessera and Java programs.
 * Without the password nothing is known of the key; with it the certificate's public key is. Files under 40-bit RC2 are
 * recognised and sealed, but no longer opened by OpenSSL 3 and so not by `unlock`.
 */
export const pkcs12: KeyFormat = {
  name: "pkcs12",
  writtenBy: "Java keytool, OpenSSL: .p12 and .pfx, opened by a password",
  owners: ["any", "besu", "tessera", "fabric"],
  detected: true,
  readPublicIdentity: (file) =>
    file.expose((bytes) => {
      checkFrame(bytes);
      return { algorithm: "locked", fingerprint: fileFingerprint(bytes) };
    }),
  unlock: async (file, password) => {
    pkcs12.readPublicIdentity(file);
    const { openPkcs12 } = await import("./pkcs12-open.ts");
    return await openPkcs12(file, password);
  },
};

/** PFX: version 3, a ContentInfo of type data, a MacData (without which no password could be checked). */
function checkFrame(bytes: Buffer): void {
  if (bytes.length > maxPkcs12Bytes) throw malformed();
  const outer = new DerReader(bytes, malformed);
  const pfx = outer.enter(derTags.sequence);
  outer.end();
  if (!pfx.read(derTags.integer).equals(version)) throw malformed();
  const content = pfx.enter(derTags.sequence);
  if (!content.read(derTags.objectIdentifier).equals(dataOid)) throw malformed();
  content.read(derTags.explicit0);
  content.end();
  checkMacData(pfx.enter(derTags.sequence));
  pfx.end();
}

/** MacData of RFC 7292, section 4, with iterations as they are counted there or (PBMAC1) in the algorithm's parameters. */
function checkMacData(macData: DerReader): void {
  const digestInfo = macData.enter(derTags.sequence);
  const algorithm = digestInfo.enter(derTags.sequence);
  if (algorithm.read(derTags.objectIdentifier).equals(pbmac1Oid)) {
    const derivation = algorithm.enter(derTags.sequence).enter(derTags.sequence);
    derivation.read(derTags.objectIdentifier);
    const parameters = derivation.enter(derTags.sequence);
    parameters.read(derTags.octetString);
    checkIterations(parameters);
  }
  digestInfo.read(derTags.octetString);
  digestInfo.end();
  macData.read(derTags.octetString);
  if (macData.peek() !== undefined) checkIterations(macData);
  macData.end();
}

function checkIterations(reader: DerReader): void {
  if (reader.readUnsigned(4).readUInt32BE() > maxMacIterations)
    throw new NodeError("KEY_FILE_INVALID", `the PKCS#12 file's MAC takes more than ${maxMacIterations} iterations`);
}

function malformed(): NodeError {
  return new NodeError(
    "KEY_FILE_INVALID",
    `the file is not a PKCS#12 file in DER with a password's MAC, of at most ${maxPkcs12Bytes} bytes`,
  );
}
