import {
  createCipheriv,
  createDecipheriv,
  pbkdf2,
  randomBytes,
  randomUUID,
  scrypt,
  timingSafeEqual,
} from "node:crypto";
import { promisify } from "node:util";
import { generateKeyPair, publicKeyOf } from "../../crypto/curve.ts";
import { keccak256 } from "../../crypto/keccak.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { ecIdentity, ethereumAddress } from "./ec-identity.ts";
import type { GeneratedKey, PublicIdentity } from "./format.ts";
import { type Keystore, type KeystoreKdf, keystoreFileName, keystoreJson, parseKeystore } from "./keystore-json.ts";

/** geth's two costs: `standard` takes 256 MiB and about a second, `light` (`--lightkdf`) 4 MiB. */
export const keystoreCosts = {
  standard: { name: "scrypt", n: 262_144, r: 8, p: 1 },
  light: { name: "scrypt", n: 4096, r: 8, p: 6 },
} as const satisfies Readonly<Record<string, KeystoreKdf>>;
export type KeystoreCost = keyof typeof keystoreCosts;

export interface OpenedKeystore {
  /** 32 bytes. The caller disposes of it. */
  readonly scalar: SecretBuffer;
  readonly identity: PublicIdentity;
  /** The file holds fewer than 32 bytes: GoQuorum pads such a key, geth refuses it since 2023. */
  readonly padded: boolean;
  readonly keystore: Keystore;
}

const scalarBytes = 32;
const deriveByPbkdf2 = promisify(pbkdf2);
type ScryptCost = Extract<KeystoreKdf, { name: "scrypt" }>;

/**
 * Opens a keystore file and proves that its address is that of the key.
 *
 * @throws {NodeError} `PASSWORD_WRONG` when the MAC does not fit; `KEY_FILE_INVALID` for another address or malformed bytes.
 */
export async function openKeystore(file: SecretBuffer, password: SecretBuffer): Promise<OpenedKeystore> {
  const keystore = file.expose(parseKeystore);
  using key = await deriveKey(password, keystore.kdf, keystore.salt);
  const payload = key.expose((bytes) => {
    if (!timingSafeEqual(macOf(bytes, keystore.ciphertext), keystore.mac)) throw new NodeError("PASSWORD_WRONG");
    return decrypt(keystore, bytes);
  });
  const padded = payload.length < scalarBytes;
  const whole = Buffer.alloc(scalarBytes);
  whole.set(payload, scalarBytes - payload.length);
  payload.fill(0);
  const scalar = SecretBuffer.take(whole);
  try {
    const identity = identityOf(scalar);
    if (keystore.address !== undefined && keystore.address !== identity.address)
      throw new NodeError(
        "KEY_FILE_INVALID",
        `the keystore says that it is of ${keystore.address}, but it holds the key of ${identity.address}`,
      );
    return { scalar, identity, padded, keystore };
  } catch (error) {
    scalar[Symbol.dispose]();
    throw error;
  }
}

/**
 * Writes a version 3 keystore file as geth does, with a fresh salt and IV.
 *
 * @param id - UUID of the file. @defaultValue A fresh one.
 * @throws {NodeError} `KEY_FILE_INVALID` for a scalar out of the range of secp256k1.
 */
export async function writeKeystore(
  scalar: SecretBuffer,
  password: SecretBuffer,
  { cost = "standard", id = randomUUID() }: { cost?: KeystoreCost; id?: string } = {},
): Promise<SecretBuffer> {
  const { address = "" } = identityOf(scalar);
  const { n, r, p } = keystoreCosts[cost];
  const [salt, iv] = [randomBytes(32), randomBytes(16)];
  using key = await deriveKey(password, keystoreCosts[cost], salt);
  const { ciphertext, mac } = key.expose((bytes) => {
    const cipher = createCipheriv("aes-128-ctr", bytes.subarray(0, 16), iv);
    const hidden = scalar.expose((plain) => Buffer.concat([cipher.update(plain), cipher.final()]));
    return { ciphertext: hidden, mac: macOf(bytes, hidden) };
  });
  const text = JSON.stringify({
    address: address.slice(2),
    crypto: {
      cipher: "aes-128-ctr",
      ciphertext: ciphertext.toString("hex"),
      cipherparams: { iv: iv.toString("hex") },
      kdf: "scrypt",
      kdfparams: { dklen: 32, n, p, r, salt: salt.toString("hex") },
      mac: mac.toString("hex"),
    },
    id,
    version: 3,
  });
  return SecretBuffer.take(Buffer.from(text));
}

/**
 * The same account under another password, as version 3.
 *
 * @throws {NodeError} As {@link openKeystore}.
 */
export async function changeKeystorePassword(
  file: SecretBuffer,
  oldPassword: SecretBuffer,
  newPassword: SecretBuffer,
  cost: KeystoreCost = "standard",
): Promise<SecretBuffer> {
  const { scalar, keystore } = await openKeystore(file, oldPassword);
  using _ = scalar;
  return await writeKeystore(scalar, newPassword, { cost, id: keystore.id });
}

/** A fresh account in a keystore file. Its `identity` is proven, with node id and address. */
export async function generateKeystoreAccount(
  password: SecretBuffer,
  { cost = "standard", at = new Date() }: { cost?: KeystoreCost; at?: Date } = {},
): Promise<GeneratedKey & { readonly address: string }> {
  const { scalar, publicKey } = generateKeyPair("secp256k1");
  using _ = scalar;
  const address = ethereumAddress(publicKey);
  return {
    format: keystoreJson.name,
    fileName: keystoreFileName(address, at),
    file: await writeKeystore(scalar, password, { cost }),
    identity: ecIdentity("secp256k1", publicKey),
    address,
  };
}

function identityOf(scalar: SecretBuffer): PublicIdentity {
  try {
    return ecIdentity("secp256k1", publicKeyOf("secp256k1", scalar));
  } catch (cause) {
    throw new NodeError("KEY_FILE_INVALID", "the keystore's key is out of the range of secp256k1", { cause });
  }
}

/** Keccak-256 over the second half of the derived key and the ciphertext. */
function macOf(key: Buffer, ciphertext: Buffer): Buffer {
  const input = Buffer.concat([key.subarray(16, 32), ciphertext]);
  const mac = keccak256(input);
  input.fill(0);
  return mac;
}

function decrypt({ version, iv, ciphertext }: Keystore, key: Buffer): Buffer {
  const hashed = version === 1 ? keccak256(key.subarray(0, 16)) : undefined;
  const cipherKey = (hashed ?? key).subarray(0, 16);
  try {
    const cipher = createDecipheriv(version === 1 ? "aes-128-cbc" : "aes-128-ctr", cipherKey, iv);
    const [plain, last] = [cipher.update(ciphertext), cipher.final()];
    const payload = Buffer.concat([plain, last]);
    plain.fill(0);
    last.fill(0);
    if (payload.length <= scalarBytes) return payload;
    payload.fill(0);
  } catch {
    // Padding that does not fit; the MAC has already told the password right.
  } finally {
    hashed?.fill(0);
  }
  throw new NodeError("KEY_FILE_INVALID", "the keystore opens, but does not hold a key of 32 bytes");
}

async function deriveKey(password: SecretBuffer, kdf: KeystoreKdf, salt: Buffer): Promise<SecretBuffer> {
  return await password.expose(async (bytes) => {
    if (kdf.name === "pbkdf2")
      return SecretBuffer.adopt(await deriveByPbkdf2(bytes, salt, kdf.iterations, 32, "sha256"));
    return SecretBuffer.take(await deriveByScrypt(bytes, kdf, salt));
  });
}

/** OpenSSL refuses N ≥ 2^(16·r) (RFC 7914 section 2), which old keystores have; those are derived in JavaScript, in slices. */
async function deriveByScrypt(password: Buffer, { n, r, p }: ScryptCost, salt: Buffer): Promise<Uint8Array> {
  if (Math.log2(n) < 16 * r) {
    const options = { N: n, r, p, maxmem: 128 * r * (n + p) + 1024 * 1024 };
    return await new Promise((resolve, reject) => {
      scrypt(password, salt, 32, options, (error, key) => (error === null ? resolve(key) : reject(error)));
    });
  }
  const { scryptAsync } = await import("@noble/hashes/scrypt.js");
  return await scryptAsync(password, salt, { N: n, r, p, dkLen: 32, maxmem: 128 * r * (n + p) + 1024 * 1024 });
}
