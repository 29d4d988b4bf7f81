import { type CipherGCMTypes, createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import type { SecretBuffer } from "../secret-buffer.ts";
import { tagBytes } from "../suite.ts";
import { expectCtrArguments, expectGcmArguments } from "./arguments.ts";
import type { Sm4Key, Sm4Provider } from "./provider.ts";

/** Node's types do not list it yet. */
const aead = "sm4-gcm" as CipherGCMTypes;
const keyBytes = 16;

/**
 * SM4 by node:crypto: there on every machine, slow on x86-64, where OpenSSL has no vector code for it and reads tables at
 * places that depend on the key. OpenSSL wipes its copy of a key when the garbage collector takes the disposed object.
 */
export function opensslSm4(): Sm4Provider {
  return {
    name: "openssl",
    detail: process.versions.openssl ?? "unknown",
    expand: (key) => new OpensslSm4Key(key),
  };
}

class OpensslSm4Key implements Sm4Key {
  #key: KeyObject | undefined;

  constructor(key: SecretBuffer) {
    if (key.byteLength !== keyBytes) throw new RangeError(`an SM4 key is ${keyBytes} bytes, not ${key.byteLength}`);
    this.#key = key.expose((bytes) => createSecretKey(bytes));
  }

  ctr(counter: Uint8Array, input: Uint8Array, output: Uint8Array): void {
    expectCtrArguments(counter, input, output);
    const result = createCipheriv("sm4-ctr", this.#live(), counter).update(input);
    output.set(result);
    result.fill(0);
  }

  gcmSeal(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    plaintext: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): void {
    expectGcmArguments(nonce, associatedData, plaintext, ciphertext, tag);
    const cipher = createCipheriv(aead, this.#live(), nonce, { authTagLength: tagBytes });
    cipher.setAAD(associatedData);
    ciphertext.set(cipher.update(plaintext));
    cipher.final();
    tag.set(cipher.getAuthTag());
  }

  gcmOpen(
    nonce: Uint8Array,
    associatedData: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
    plaintext: Uint8Array,
  ): boolean {
    expectGcmArguments(nonce, associatedData, ciphertext, plaintext, tag);
    const decipher = createDecipheriv(aead, this.#live(), nonce, { authTagLength: tagBytes });
    decipher.setAAD(associatedData);
    decipher.setAuthTag(tag);
    const result = decipher.update(ciphertext);
    try {
      decipher.final();
      plaintext.set(result);
      return true;
    } catch {
      // With these arguments, only a tag that does not match makes it fail.
      plaintext.fill(0);
      return false;
    } finally {
      result.fill(0);
    }
  }

  [Symbol.dispose](): void {
    this.#key = undefined;
  }

  #live(): KeyObject {
    if (this.#key === undefined) throw new Error("SM4 key used after it was wiped");
    return this.#key;
  }
}
