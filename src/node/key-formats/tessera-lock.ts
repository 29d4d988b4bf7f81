import { argon2, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { encodeBase64 } from "../../crypto/base64.ts";
import { generateKeyPair } from "../../crypto/curve.ts";
import { writePrivateKeyDer } from "../../crypto/pem.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import type { GeneratedKey } from "./format.ts";
import {
  type Argon2Cost,
  type ArgonLock,
  checkArgon2Cost,
  type EnclaveKey,
  enclaveKeyOf,
  readTesseraKey,
  tesseraKey,
  writeTesseraPublicKey,
  x25519Bytes,
} from "./tessera-key.ts";

/** Tessera's own: 1 GiB and some seconds for each unlock. */
export const tesseraArgon2Cost: Argon2Cost = { variant: "id", memoryKiB: 1_048_576, passes: 10, parallelism: 4 };
/** RFC 9106's second recommendation: 64 MiB. */
export const smallArgon2Cost: Argon2Cost = { variant: "id", memoryKiB: 65_536, passes: 3, parallelism: 4 };

const boxKeyBytes = 32;
const saltBytes = 32;
const nonceBytes = 24;
const runArgon2 = promisify(argon2);

/** The pair of files of a fresh key. The caller seals `file` and disposes of it. */
export interface GeneratedTesseraKey extends GeneratedKey {
  /** What the `.pub` file holds; not secret. */
  readonly publicFile: Buffer;
  readonly publicFileName: string;
}

/**
 * Opens a `.key` file, locked or not. The caller disposes of `secret`.
 *
 * @throws {NodeError} `PASSWORD_WRONG` (also for an altered box), `KEY_FILE_INVALID`.
 */
export async function openTesseraKey(
  file: SecretBuffer,
  password: SecretBuffer,
): Promise<EnclaveKey & { readonly secret: SecretBuffer }> {
  const read = readTesseraKey(file);
  const secret = "secret" in read ? read.secret : await openLock(read.lock, password);
  try {
    return { ...enclaveKeyOf(secret), secret };
  } catch (error) {
    secret[Symbol.dispose]();
    throw error;
  }
}

/** An unlocked `.key` file, as Tessera writes it. The caller disposes of it. */
export function writeUnlockedTesseraKey(secret: SecretBuffer): SecretBuffer {
  return secret.expose((bytes) => {
    const base64 = encodeBase64(bytes);
    const text = Buffer.concat([Buffer.from('{"type":"unlocked","data":{"bytes":"'), base64, Buffer.from('"}}')]);
    base64.fill(0);
    return SecretBuffer.take(text);
  });
}

/**
 * A `.key` file locked by a password, with a fresh salt and nonce. The caller disposes of it.
 *
 * @throws {NodeError} `KEY_FILE_INVALID` for a cost out of bounds.
 */
export async function writeLockedTesseraKey(
  secret: SecretBuffer,
  password: SecretBuffer,
  cost: Argon2Cost = tesseraArgon2Cost,
): Promise<SecretBuffer> {
  checkArgon2Cost(cost);
  const [salt, nonce] = [randomBytes(saltBytes), randomBytes(nonceBytes)];
  using key = await deriveBoxKey(password, cost, salt);
  const box = key.expose((boxKey) => secret.expose((plain) => xsalsa20poly1305(boxKey, nonce).encrypt(plain)));
  const { variant, memoryKiB: memory, passes: iterations, parallelism } = cost;
  const text = JSON.stringify({
    type: "argon2sbox",
    data: {
      aopts: { variant, memory, iterations, parallelism },
      snonce: nonce.toString("base64"),
      asalt: salt.toString("base64"),
      sbox: Buffer.from(box).toString("base64"),
    },
  });
  return SecretBuffer.take(Buffer.from(text));
}

/**
 * The same key, locked or unlocked before, under another password and cost.
 *
 * @throws {NodeError} As {@link openTesseraKey}, and for a cost out of bounds.
 */
export async function relockTesseraKey(
  file: SecretBuffer,
  oldPassword: SecretBuffer,
  newPassword: SecretBuffer,
  cost: Argon2Cost = tesseraArgon2Cost,
): Promise<SecretBuffer> {
  checkArgon2Cost(cost);
  const { secret } = await openTesseraKey(file, oldPassword);
  using _ = secret;
  return await writeLockedTesseraKey(secret, newPassword, cost);
}

/**
 * A fresh key pair of Constellation or Tessera: Curve25519, or P-256 for Tessera's EC encryptor. Without a password the `.key`
 * file is unlocked.
 */
export async function generateTesseraKeyPair({
  curve = "x25519",
  name = "tm",
  password,
  cost = tesseraArgon2Cost,
}: {
  curve?: "x25519" | "p256";
  name?: string;
  password?: SecretBuffer;
  cost?: Argon2Cost;
} = {}): Promise<GeneratedTesseraKey> {
  using secret = curve === "x25519" ? SecretBuffer.random(x25519Bytes) : generateEcSecret();
  const { identity, publicKey } = enclaveKeyOf(secret);
  return {
    format: tesseraKey.name,
    fileName: `${name}.key`,
    file:
      password === undefined ? writeUnlockedTesseraKey(secret) : await writeLockedTesseraKey(secret, password, cost),
    identity,
    publicFile: writeTesseraPublicKey(publicKey),
    publicFileName: `${name}.pub`,
  };
}

function generateEcSecret(): SecretBuffer {
  const { scalar } = generateKeyPair("p256");
  using _ = scalar;
  return writePrivateKeyDer("p256", scalar, "pkcs8");
}

async function openLock({ cost, salt, nonce, box }: ArgonLock, password: SecretBuffer): Promise<SecretBuffer> {
  using key = await deriveBoxKey(password, cost, salt);
  try {
    return SecretBuffer.take(key.expose((boxKey) => xsalsa20poly1305(boxKey, nonce).decrypt(box)));
  } catch (cause) {
    throw new NodeError("PASSWORD_WRONG", undefined, { cause });
  }
}

/** Runs on a thread of the pool, not on the event loop. */
async function deriveBoxKey(password: SecretBuffer, cost: Argon2Cost, salt: Buffer): Promise<SecretBuffer> {
  const { variant, memoryKiB: memory, passes, parallelism } = cost;
  return await password.expose(async (message) =>
    SecretBuffer.take(
      await runArgon2(`argon2${variant}`, {
        message,
        nonce: salt,
        memory,
        passes,
        parallelism,
        tagLength: boxKeyBytes,
      }),
    ),
  );
}
