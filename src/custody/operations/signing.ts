import { createHash } from "node:crypto";
import { isKeyPairSpec, signingAlgorithms } from "../../crypto/key-specs.ts";
import { OpensslKey } from "../../crypto/openssl-key.ts";
import { sm2Digest } from "../../crypto/sm2.ts";
import { keyArn } from "../arn.ts";
import type { MessageToSign, PublicKeyDescription, SigningOperations } from "../contract/cryptography.ts";
import { type Core, type KeySubject, performOnKey } from "../core.ts";
import { CustodyError } from "../errors.ts";
import { mustBeUsable } from "../key-states.ts";
import { mustAllow, publicKeyOf, specifiedDeviceKey } from "../key-use.ts";
import type { ActionName } from "../policy/actions.ts";
import type { Caller } from "../service.ts";
import type { KeyRecord } from "../state/records.ts";

const maxMessageBytes = 4096;
const maxSignatureBytes = 6144;
const sm2PointBytes = 65;

/** Signatures: made inside the key's device, checked against its public key. */
export class Signing implements SigningOperations {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async sign(caller: Caller, input: MessageToSign): Promise<{ readonly keyId: string; readonly signature: Buffer }> {
    // Made once for a key, which has one version for life: a decision that is taken anew asks again only who may.
    let made: { readonly keyId: string; readonly signature: Buffer } | undefined;
    return performOnKey(this.#core, caller, subjectOf("kms:Sign", input), async (key) => {
      const digest = digestToSign(key, input);
      if (made?.keyId !== key.id) {
        const signature = await this.#core.devices.use(key, (device) =>
          device.signDigest(specifiedDeviceKey(key), input.algorithm, digest),
        );
        made = { keyId: key.id, signature };
      }
      return { value: made };
    });
  }

  async verify(
    caller: Caller,
    input: MessageToSign & { readonly signature: Uint8Array },
  ): Promise<{ readonly keyId: string }> {
    checkLength("a signature", input.signature, maxSignatureBytes);
    return performOnKey(this.#core, caller, subjectOf("kms:Verify", input), async (key) => {
      const digest = digestToSign(key, input);
      if (!isKeyPairSpec(key.spec)) throw new CustodyError("SIGNATURE_INVALID");
      using publicKey = await OpensslKey.ofPublicKey(key.spec, publicKeyOf(key));
      if (!publicKey.verifyDigest(input.algorithm, digest, input.signature))
        throw new CustodyError("SIGNATURE_INVALID");
      return { value: { keyId: key.id } };
    });
  }

  async publicKey(caller: Caller, key: string): Promise<PublicKeyDescription> {
    return performOnKey(this.#core, caller, { action: "kms:GetPublicKey", reference: key }, (record) => {
      const { id: keyId, spec, usage } = record;
      const spki = publicKeyOf(record);
      mustBeUsable(record);
      return { value: { keyId, arn: keyArn(this.#core.identity, keyId), spec, usage, spki } };
    });
  }
}

function subjectOf(action: ActionName, input: MessageToSign): KeySubject {
  checkLength("a message", input.message, maxMessageBytes);
  return {
    action,
    reference: input.key,
    detail: { algorithm: input.algorithm, messageType: input.messageType },
  };
}

/**
 * What the signature is over: the digest as given, or the message's. That of SM2 is e = SM3(ZA ‖ message).
 *
 * @throws {CustodyError} `KEY_USAGE_INVALID`, `ALGORITHM_INVALID`, `KEY_DISABLED`, `KEY_STATE_INVALID`, `INPUT_INVALID` for a
 *   digest of another length than the algorithm's.
 */
function digestToSign(key: KeyRecord, { algorithm, message, messageType }: MessageToSign): Uint8Array {
  mustAllow(key, "sign", algorithm);
  const { hash, digestBytes } = signingAlgorithms[algorithm];
  if (messageType === "raw")
    return algorithm === "SM2DSA"
      ? sm2Digest(publicKeyOf(key).subarray(-sm2PointBytes), message)
      : createHash(hash).update(message).digest();
  if (message.byteLength !== digestBytes)
    throw new CustodyError("INPUT_INVALID", `Digest is invalid length for algorithm ${algorithm}.`);
  return message;
}

function checkLength(what: string, bytes: Uint8Array, most: number): void {
  if (bytes.byteLength < 1 || bytes.byteLength > most)
    throw new CustodyError("INPUT_INVALID", `${what} has 1 to ${most} bytes, got ${bytes.byteLength}`);
}
