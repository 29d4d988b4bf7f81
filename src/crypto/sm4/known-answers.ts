import { type CipherGCMTypes, createCipheriv, randomInt, timingSafeEqual } from "node:crypto";
import { fillFromKernel } from "../kernel-random.ts";
import { SecretBuffer } from "../secret-buffer.ts";
import type { Sm4Key, Sm4Provider } from "./provider.ts";

/** Node's types do not list it yet. */
const aead = "sm4-gcm" as CipherGCMTypes;
const exampleKeyHex = "0123456789abcdeffedcba9876543210";
/** GB/T 32907-2016, A.1: the key encrypts itself to this. */
const exampleBlockHex = "681edf34d206965e86b3e94f536e4246";
/** RFC 8998, A.1. */
const gcmExample = {
  nonceHex: "00001234567800000000abcd",
  associatedDataHex: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
  plaintextHex:
    "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
  ciphertextHex:
    "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d",
  tagHex: "83de3541e4c2b58177e065a9bf7b62ec",
} as const;

/** Around each size at which a kernel changes its way: a block, 8, 16, 64 and 128 blocks, a piece of 8 KiB; and a file's block. */
const lengths: readonly number[] = [
  0, 1, 15, 16, 17, 63, 100, 127, 128, 129, 255, 256, 257, 511, 512, 639, 640, 1023, 1024, 1025, 1055, 2047, 2048, 2049,
  3333, 8192, 8205, 32_771, 40_009, 65_536, 65_567,
];
/** Of associated data, with a text of a few blocks: around a piece of 8 KiB and of 32 KiB, and longer. */
const longDataLengths: readonly number[] = [4097, 8191, 8209, 32_767, 32_785, 70_001];
const shortDataBytes = 70;
/** Counters whose carry crosses a word, a half and the end. */
const countersHex: readonly string[] = [
  "000000000000000000000000fffffffe",
  "0000000000000000fffffffffffffff0",
  "00000001fffffffffffffffffffffffd",
  "ffffffffffffffffffffffffffffffff",
];
const guardBytes = 8;
const guard = 0xa5;

/**
 * Compares a provider with published vectors and, for random keys and data of many lengths, with node:crypto: counter mode
 * with carries, GCM sealing and opening, apart and in place, at odd addresses, and that every kind of forgery is refused.
 * Takes some milliseconds.
 *
 * @throws {Error} At the first difference; the message says in what, and holds nothing of key or data.
 */
export function checkSm4Provider(provider: Sm4Provider): void {
  checkPublished(provider);
  using secret = SecretBuffer.random(16);
  using key = provider.expand(secret);
  for (const length of lengths) checkLength(key, secret, length, randomInt(shortDataBytes));
  for (const dataLength of longDataLengths) checkLength(key, secret, 77, dataLength);
  for (const counterHex of countersHex)
    for (const length of [16, 40, 700, 2100]) checkCtr(key, secret, Buffer.from(counterHex, "hex"), length);
  checkForgeries(key);
  checkDisposal(provider, secret);
}

function checkPublished(provider: Sm4Provider): void {
  const { nonceHex, associatedDataHex, plaintextHex, ciphertextHex, tagHex } = gcmExample;
  using key = provider.expand(SecretBuffer.take(Buffer.from(exampleKeyHex, "hex")));
  const block = Buffer.alloc(16);
  key.ctr(Buffer.from(exampleKeyHex, "hex"), Buffer.alloc(16), block);
  expectSame(block, Buffer.from(exampleBlockHex, "hex"), "GB/T 32907's example");
  const plaintext = Buffer.from(plaintextHex, "hex");
  const ciphertext = Buffer.alloc(plaintext.byteLength);
  const tag = Buffer.alloc(16);
  key.gcmSeal(Buffer.from(nonceHex, "hex"), Buffer.from(associatedDataHex, "hex"), plaintext, ciphertext, tag);
  expectSame(ciphertext, Buffer.from(ciphertextHex, "hex"), "RFC 8998's GCM ciphertext");
  expectSame(tag, Buffer.from(tagHex, "hex"), "RFC 8998's GCM tag");
}

function checkLength(key: Sm4Key, secret: SecretBuffer, length: number, dataLength: number): void {
  checkCtr(key, secret, random(16), length);
  const nonce = random(12);
  const associatedData = random(dataLength);
  const plaintext = random(length);
  const reference = secret.expose((bytes) => createCipheriv(aead, bytes, nonce, { authTagLength: 16 }));
  reference.setAAD(associatedData);
  const ciphertext = reference.update(plaintext);
  reference.final();
  const tag = reference.getAuthTag();

  const what = (operation: string) => `${operation} of ${length} bytes with ${dataLength} of associated data`;
  const sealed = guarded(Buffer.alloc(length));
  const madeTag = guarded(Buffer.alloc(16));
  key.gcmSeal(nonce, associatedData, plaintext, sealed.bytes, madeTag.bytes);
  expectSame(sealed.bytes, ciphertext, what("gcmSeal"));
  expectSame(madeTag.bytes, tag, what("the tag of gcmSeal"));
  const opened = guarded(Buffer.alloc(length));
  if (!key.gcmOpen(nonce, associatedData, ciphertext, tag, opened.bytes)) fail(what("gcmOpen"));
  expectSame(opened.bytes, plaintext, what("gcmOpen"));
  const inPlace = guarded(plaintext);
  key.gcmSeal(nonce, associatedData, inPlace.bytes, inPlace.bytes, madeTag.bytes);
  expectSame(inPlace.bytes, ciphertext, what("gcmSeal in place"));
  expectSame(madeTag.bytes, tag, what("the tag of gcmSeal in place"));
  if (!key.gcmOpen(nonce, associatedData, inPlace.bytes, tag, inPlace.bytes)) fail(what("gcmOpen in place"));
  expectSame(inPlace.bytes, plaintext, what("gcmOpen in place"));
  for (const memory of [sealed, madeTag, opened, inPlace]) memory.check(what("GCM"));
}

function checkCtr(key: Sm4Key, secret: SecretBuffer, counter: Buffer, length: number): void {
  const input = random(length);
  const expected = secret.expose((bytes) => createCipheriv("sm4-ctr", bytes, counter)).update(input);
  const what = `counter mode over ${length} bytes`;
  const counterBefore = Buffer.from(counter);
  const output = guarded(Buffer.alloc(length));
  key.ctr(counter, input, output.bytes);
  expectSame(output.bytes, expected, what);
  expectSame(counter, counterBefore, `the counter after ${what}`);
  const inPlace = guarded(input);
  key.ctr(counter, inPlace.bytes, inPlace.bytes);
  expectSame(inPlace.bytes, expected, `${what} in place`);
  for (const memory of [output, inPlace]) memory.check(what);
}

/** One bit changed in each byte of the tag, and in the nonce, the associated data and the ciphertext of a short and a long message. */
function checkForgeries(key: Sm4Key): void {
  for (const length of [0, 21, 1100, 4096]) {
    const message = {
      nonce: random(12),
      associatedData: random(20),
      ciphertext: random(length),
      tag: Buffer.alloc(16),
    };
    const plaintext = random(length);
    key.gcmSeal(message.nonce, message.associatedData, plaintext, message.ciphertext, message.tag);
    const refuses = (part: keyof typeof message, at: number) => {
      const forged = { ...message, [part]: Buffer.from(message[part]) };
      forged[part][at] = (forged[part][at] ?? 0) ^ (1 << randomInt(8));
      const opened = random(length);
      if (key.gcmOpen(forged.nonce, forged.associatedData, forged.ciphertext, forged.tag, opened))
        fail(`gcmOpen of ${length} bytes with a changed ${part}, which it accepted`);
      expectSame(opened, Buffer.alloc(length), `the plaintext of ${length} bytes that gcmOpen refused`);
    };
    for (let at = 0; at < 16; at++) refuses("tag", at);
    refuses("nonce", randomInt(12));
    refuses("associatedData", randomInt(20));
    for (const at of length === 0 ? [] : [0, randomInt(length), length - 1]) refuses("ciphertext", at);
  }
}

function checkDisposal(provider: Sm4Provider, secret: SecretBuffer): void {
  const key = provider.expand(secret);
  key[Symbol.dispose]();
  try {
    key.ctr(Buffer.alloc(16), Buffer.alloc(16), Buffer.alloc(16));
  } catch {
    return;
  }
  fail("a disposed key, which still encrypts");
}

/** A copy at an odd address between bytes that must stay as they are. */
function guarded(content: Buffer): { readonly bytes: Buffer; check(what: string): void } {
  const memory = Buffer.alloc(content.byteLength + 2 * guardBytes + 1, guard);
  const bytes = memory.subarray(guardBytes + 1, guardBytes + 1 + content.byteLength);
  bytes.set(content);
  return {
    bytes,
    check(what) {
      const around = [memory.subarray(0, guardBytes + 1), memory.subarray(guardBytes + 1 + content.byteLength)];
      if (around.some((side) => side.some((byte) => byte !== guard))) fail(`${what}, which wrote beyond its output`);
    },
  };
}

function random(byteLength: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(byteLength);
  fillFromKernel(bytes);
  return bytes;
}

function expectSame(actual: Buffer, expected: Buffer, what: string): void {
  if (actual.byteLength !== expected.byteLength || !timingSafeEqual(actual, expected)) fail(what);
}

function fail(what: string): never {
  throw new Error(`it is wrong in ${what}`);
}
