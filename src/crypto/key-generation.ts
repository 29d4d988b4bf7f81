import { generateKeyPair as generate } from "node:crypto";
import { promisify } from "node:util";
import { curves, ecPublicKeyOid, generateKeyPair } from "./curve.ts";
import { der, derTags } from "./der.ts";
import { type KeyPairSpecName, keySpecs } from "./key-specs.ts";
import { writePrivateKeyDer } from "./pem.ts";
import { SecretBuffer } from "./secret-buffer.ts";
import { InTurn } from "./turns.ts";

const generateInThread = promisify(generate);
/** Node's four threads also serve its files and names: large primes take half of them at most. */
const rsaInTurn = new InTurn(2, 64);

export interface NewKeyPair {
  /** PKCS#8, DER. The caller disposes of it. */
  readonly pkcs8: SecretBuffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer;
}

/**
 * A fresh key pair, made by OpenSSL in a thread of Node's: an RSA key of 4096 bits takes seconds. RSA has the public exponent
 * 65537; curves are named by OID.
 *
 * @throws {CryptoError} `BUSY` when 64 RSA keys are waited for already.
 */
export async function generateKeyPairOf(spec: KeyPairSpecName): Promise<NewKeyPair> {
  const facts = keySpecs[spec];
  if (facts.kind === "sm2") return newSm2KeyPair();
  const encoding = {
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  } as const;
  const pair =
    facts.kind === "rsa"
      ? await rsaInTurn.run(() =>
          generateInThread("rsa", { modulusLength: facts.modulusBits, publicExponent: 65537, ...encoding }),
        )
      : await generateInThread("ec", { namedCurve: facts.curve, ...encoding });
  return { pkcs8: SecretBuffer.take(pair.privateKey), spki: pair.publicKey };
}

/** Not by Node's generator: its range is that of ECDSA, one more than the scalars of SM2. */
function newSm2KeyPair(): NewKeyPair {
  const { scalar, publicKey } = generateKeyPair("sm2");
  using secret = scalar;
  const algorithm = der(
    derTags.sequence,
    der(derTags.objectIdentifier, ecPublicKeyOid),
    der(derTags.objectIdentifier, curves.sm2.oid),
  );
  const spki = der(derTags.sequence, algorithm, der(derTags.bitString, Buffer.of(0), publicKey));
  return { pkcs8: writePrivateKeyDer("sm2", secret, "pkcs8"), spki };
}
