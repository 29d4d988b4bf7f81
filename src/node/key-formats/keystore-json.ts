import { NodeError } from "../errors.ts";
import { fileFingerprint } from "./ec-identity.ts";
import type { KeyFormat } from "./format.ts";

/** How a keystore turns the password into a key. */
export type KeystoreKdf =
  | { readonly name: "scrypt"; readonly n: number; readonly r: number; readonly p: number }
  | { readonly name: "pbkdf2"; readonly iterations: number };

/** A keystore file's parts. Nothing in it is plaintext; `address` is the file's own claim. */
export interface Keystore {
  /** 3: Web3 Secret Storage; 1: its forerunner, which differs in the cipher. */
  readonly version: 1 | 3;
  readonly id: string;
  /** `0x` and 40 lower-case hex characters. */
  readonly address?: string;
  readonly kdf: KeystoreKdf;
  readonly salt: Buffer;
  readonly iv: Buffer;
  readonly ciphertext: Buffer;
  readonly mac: Buffer;
}

const maxKeystoreBytes = 16_384;
/** 128·N·r: geth's standard cost takes 256 MiB. */
const maxScryptMemoryBytes = 1024 * 1024 * 1024;
/** N·r·p, eight times geth's standard cost. */
const maxScryptWork = 2 ** 24;
const maxIterations = 10_000_000;

/** geth's keystore file, version 1 or 3. Its address is a claim until {@link KeyFormat.unlock} has proven it. */
export const keystoreJson: KeyFormat = {
  name: "keystore-json",
  writtenBy: "geth, GoQuorum, Besu tools, wallets: UTC--…--ADDRESS account files",
  owners: ["geth", "goquorum", "besu", "ethereumjs"],
  detected: true,
  readPublicIdentity: (file) =>
    file.expose((bytes) => {
      const { address } = parseKeystore(bytes);
      const fingerprint = fileFingerprint(bytes);
      return address === undefined
        ? { algorithm: "locked", fingerprint }
        : { algorithm: "locked", address, fingerprint };
    }),
  unlock: async (file, password) => {
    const { openKeystore } = await import("./keystore-lock.ts");
    const { scalar, identity } = await openKeystore(file, password);
    scalar[Symbol.dispose]();
    return identity;
  },
};

/**
 * Reads a keystore strictly: `crypto` or `Crypto` but not both, known ciphers, exact lengths, bounded cost. Members that
 * wallets add beside those are passed over.
 *
 * @throws {NodeError} `KEY_FILE_INVALID`.
 */
export function parseKeystore(file: Buffer): Keystore {
  const top = table(parseJson(file), "the file");
  const version = top.version === 3 ? 3 : top.version === "1" ? 1 : undefined;
  if (version === undefined) throw invalid('its version is neither 3 nor "1"');
  if ("crypto" in top === "Crypto" in top) throw invalid("it has no crypto part, or two");
  const crypto = table(top.crypto ?? top.Crypto, "crypto");
  const cipher = version === 3 ? "aes-128-ctr" : "aes-128-cbc";
  if (crypto.cipher !== cipher) throw invalid(`its cipher is not ${cipher}`);
  const id = text(top.id, "id", /^[0-9A-Za-z-]{1,64}$/);
  const parameters = table(crypto.kdfparams, "kdfparams");
  if (parameters.dklen !== 32) throw invalid("dklen is not 32");
  const address = top.address === undefined || top.address === "" ? undefined : addressOf(top.address);
  const ciphertext = hex(crypto.ciphertext, "ciphertext", version === 3 ? [30, 32] : [48, 48]);
  return {
    version,
    id,
    ...(address === undefined ? {} : { address }),
    kdf: kdfOf(crypto.kdf, parameters),
    salt: hex(parameters.salt, "salt", [1, 256]),
    iv: hex(table(crypto.cipherparams, "cipherparams").iv, "iv", [16, 16]),
    ciphertext,
    mac: hex(crypto.mac, "mac", [32, 32]),
  };
}

/** `UTC--2016-03-22T12-57-55.920000000Z--ADDRESS`, as geth names an account's file. */
export function keystoreFileName(address: string, at: Date): string {
  const time = at.toISOString().replaceAll(":", "-").replace("Z", "000000Z");
  return `UTC--${time}--${address.slice(2)}`;
}

/**
 * Checks that a file named as geth names accounts holds the account of its name; other names say nothing.
 *
 * @throws {NodeError} `KEY_FILE_INVALID`.
 */
export function checkKeystoreFileName(fileName: string, address: string): void {
  const [, named] = /^UTC--.*--(?:0x)?([0-9a-fA-F]{40})(?:\.json)?$/.exec(fileName) ?? [];
  if (named === undefined || `0x${named.toLowerCase()}` === address) return;
  throw invalid(`the file's name says 0x${named.toLowerCase()}, its content ${address}`);
}

function kdfOf(name: unknown, parameters: Readonly<Record<string, unknown>>): KeystoreKdf {
  if (name === "pbkdf2") {
    if (parameters.prf !== "hmac-sha256") throw invalid("its prf is not hmac-sha256");
    return { name, iterations: whole(parameters.c, "c", maxIterations) };
  }
  if (name !== "scrypt") throw invalid("its kdf is neither scrypt nor pbkdf2");
  const n = whole(parameters.n, "n", 2 ** 30);
  const r = whole(parameters.r, "r", 1024);
  const p = whole(parameters.p, "p", 1024);
  if (n < 2 || !Number.isInteger(Math.log2(n))) throw invalid("scrypt's n is not a power of two");
  if (128 * n * r > maxScryptMemoryBytes || n * r * p > maxScryptWork)
    throw invalid("its scrypt cost is out of bounds: 1 GiB of memory, n·r·p of 2^24");
  return { name, n, r, p };
}

function parseJson(file: Buffer): unknown {
  if (file.length > maxKeystoreBytes) throw invalid(`it has ${file.length} bytes, the most is ${maxKeystoreBytes}`);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file));
  } catch {
    // The parser's message quotes the file, which need not be a keystore.
    throw invalid("it is not JSON");
  }
}

/** An object, without its prototype's members. */
function table(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what} is not an object`);
  return { __proto__: null, ...value } as unknown as Readonly<Record<string, unknown>>;
}

function text(value: unknown, what: string, pattern: RegExp): string {
  if (typeof value !== "string" || !pattern.test(value)) throw invalid(`${what} is missing or malformed`);
  return value;
}

function addressOf(value: unknown): string {
  return `0x${text(value, "address", /^(0x)?[0-9a-fA-F]{40}$/)
    .toLowerCase()
    .slice(-40)}`;
}

function hex(value: unknown, what: string, [least, most]: readonly [number, number]): Buffer {
  const bytes = Buffer.from(text(value, what, /^([0-9a-fA-F]{2})*$/), "hex");
  if (bytes.length < least || bytes.length > most) throw invalid(`${what} has ${bytes.length} bytes`);
  return bytes;
}

function whole(value: unknown, what: string, most: number): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most)
    throw invalid(`${what} is not a whole number from 1 to ${most}`);
  return value;
}

function invalid(reason: string): NodeError {
  return new NodeError("KEY_FILE_INVALID", `the file is not a keystore that is read here: ${reason}`);
}
