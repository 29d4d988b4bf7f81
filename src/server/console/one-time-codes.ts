import { createHash, timingSafeEqual } from "node:crypto";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";

/** Crockford's base 32: no I, L, O or U, so that a code can be read aloud. */
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const codeCharacters = 12;
const groupCharacters = 4;
/** Longer input is no code, however it is punctuated. */
const maxTypedBytes = 64;
export const codeLifeMs = 5 * 60 * 1000;
const maxOpenCodes = 32;

interface OpenCode {
  readonly digest: Buffer;
  readonly principal: string;
  readonly endsAtMs: number;
}

/**
 * One-time codes by which a person signs in to the console: 60 random bits, one use, five minutes, in memory only and
 * there as their SHA-256. Making one for a principal ends that principal's earlier one; so does its revocation.
 */
export class OneTimeCodes {
  readonly #nowMs: () => number;
  #open: OpenCode[] = [];

  /** @param nowMs - Milliseconds of a clock; the system's monotonic one by default. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** A code for the principal of this ARN, as `XXXX-XXXX-XXXX` in ASCII. The caller disposes of it. */
  issue(principal: string): SecretBuffer {
    using random = SecretBuffer.random(codeCharacters);
    const typed = Buffer.allocUnsafeSlow(codeCharacters + codeCharacters / groupCharacters - 1);
    const digest = random.expose((bytes) => {
      for (let index = 0; index < codeCharacters; index++)
        bytes[index] = alphabet.charCodeAt((bytes[index] ?? 0) % alphabet.length);
      for (let at = 0, index = 0; at < typed.length; at++)
        typed[at] = at % (groupCharacters + 1) === groupCharacters ? dash : (bytes[index++] ?? 0);
      return digestOf(bytes);
    });
    const endsAtMs = this.#nowMs() + codeLifeMs;
    this.#open = [...this.#live().filter((each) => each.principal !== principal), { digest, principal, endsAtMs }];
    this.#open = this.#open.slice(-maxOpenCodes);
    return SecretBuffer.adopt(typed);
  }

  /**
   * Uses a code up: the ARN it was made for, or undefined. Letter case, spaces and dashes do not matter; O reads as 0, I
   * and L as 1. `typed` stays the caller's to wipe.
   */
  redeem(typed: Uint8Array): string | undefined {
    const code = normalised(typed);
    if (code === undefined) return undefined;
    const digest = digestOf(code);
    code.fill(0);
    // All are compared, so that the time tells nothing about which was near.
    const matches = this.#live().filter((each) => timingSafeEqual(each.digest, digest));
    const [match] = matches;
    this.#open = this.#live().filter((each) => each !== match);
    return match?.principal;
  }

  /** Ends the codes of every principal that may not call now, so that one that is enabled again asks for a new code. */
  endOfRevoked(isEnabled: (principal: string) => boolean): void {
    this.#open = this.#open.filter(({ principal }) => isEnabled(principal));
  }

  #live(): OpenCode[] {
    const nowMs = this.#nowMs();
    return this.#open.filter((each) => nowMs < each.endsAtMs);
  }
}

const dash = 0x2d;
const space = 0x20;

function normalised(typed: Uint8Array): Buffer | undefined {
  if (typed.length > maxTypedBytes) return undefined;
  const code = Buffer.allocUnsafeSlow(codeCharacters);
  let length = 0;
  for (const byte of typed) {
    if (byte === dash || byte === space) continue;
    const character = readAs(String.fromCharCode(byte).toUpperCase());
    if (length === codeCharacters || !alphabet.includes(character)) {
      code.fill(0);
      return undefined;
    }
    code[length++] = character.charCodeAt(0);
  }
  return length === codeCharacters ? code : undefined;
}

function readAs(character: string): string {
  if (character === "O") return "0";
  return character === "I" || character === "L" ? "1" : character;
}

function digestOf(code: Uint8Array): Buffer {
  return createHash("sha256").update(code).digest();
}
