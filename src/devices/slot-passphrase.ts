import { scrypt } from "node:crypto";
import { kernelRandomBytes } from "../crypto/kernel-random.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";

/** scrypt (RFC 7914) parameters of a passphrase slot. `salt` is hex, 32 bytes. */
export interface ScryptParameters {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
}

/** Memory that scrypt may use: N=2^17, r=8 needs 128 MiB. */
const maxMemoryBytes = 160 * 1024 * 1024;

export function newScryptParameters(): ScryptParameters {
  return { N: 2 ** 17, r: 8, p: 1, salt: kernelRandomBytes(32).toString("hex") };
}

/**
 * Reads parameters from outside, bounded on both sides: weaker ones would help a guesser who can write the file, larger
 * ones would exhaust this machine. Undefined when out of bounds or malformed.
 */
export function scryptParametersOf(value: unknown): ScryptParameters | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { N, r, p, salt } = value as Record<string, unknown>;
  if (N !== 2 ** 17 || r !== 8 || p !== 1) return undefined;
  if (typeof salt !== "string" || !/^[0-9a-f]{64}$/.test(salt)) return undefined;
  return { N, r, p, salt };
}

/** Stretches a passphrase to the 32-byte secret of a slot. The caller disposes of it. */
export function stretchPassphrase(passphrase: SecretBuffer, parameters: ScryptParameters): Promise<SecretBuffer> {
  const { N, r, p, salt } = parameters;
  return passphrase.expose(
    (bytes) =>
      new Promise((resolve, reject) => {
        scrypt(bytes, Buffer.from(salt, "hex"), 32, { N, r, p, maxmem: maxMemoryBytes }, (error, key) => {
          if (error === null) resolve(SecretBuffer.take(key));
          else reject(error);
        });
      }),
  );
}
