import { createHash, type KeyObject } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { packAny } from "../messages/any.ts";
import {
  type AttestedData,
  AttestedDataSchema,
  CCParametersSchema,
  type Credentials,
  CredentialsSchema,
  HostParametersSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { TrustedLedgerParametersSchema } from "../messages/generated/fpc/policy_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import { checkCcParams } from "../protocol/cc-params.ts";
import {
  encryptionKeyOf,
  newEncryptionKeyPair,
  newSigningKeyPair,
  readDecryptionKey,
  readSigningKey,
  verificationKeyOf,
} from "../protocol/key-formats.ts";
import type { TeeBackend } from "../tee/backend.ts";

/** What a host asks an enclave to be, each as the bytes of its message. Nothing of it is believed: it is attested. */
export interface CreationSettings {
  /** fpc.CCParameters. */
  readonly ccParams: Uint8Array;
  /** fpc.HostParameters. */
  readonly hostParams: Uint8Array;
  /** SHA-256 of the channel's genesis block. */
  readonly channelHash: Uint8Array;
  /** TrustedLedgerParameters. */
  readonly trustedLedger: Uint8Array;
}

/** Who an enclave is: its two key pairs and what is attested of it. */
export class EnclaveIdentity implements Disposable {
  /** As the creation made it. */
  readonly attested: AttestedData;
  readonly read: ReadCredentials;
  /** Enclave_SK, PEM. */
  readonly sk: SecretBuffer;
  /** Enclave_DK, PEM. */
  readonly dk: SecretBuffer;

  /** Becomes the owner of both secrets. @throws EnclaveError MALFORMED: the data is not these keys' own */
  constructor(attested: AttestedData, sk: SecretBuffer, dk: SecretBuffer) {
    this.attested = attested;
    this.sk = sk;
    this.dk = dk;
    try {
      this.read = readCredentials(credentialsOf(attested, Buffer.from("none")), "not yet");
      if (!verificationKeyOf(this.signingKey).equals(attested.enclaveVk))
        throw new EnclaveError("MALFORMED", "AttestedData.enclave_vk is not of the enclave's signing key");
      if (!encryptionKeyOf(this.decryptionKey).equals(attested.enclaveEk))
        throw new EnclaveError("MALFORMED", "AttestedData.enclave_ek is not of the enclave's decryption key");
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Makes both pairs.
   *
   * @throws EnclaveError MALFORMED; WRONG_CONTEXT: the chaincode's version is not the measurement of this code
   */
  static async create(settings: CreationSettings, measurement: string): Promise<EnclaveIdentity> {
    const ccParams = checkCcParams(decodeStrict(CCParametersSchema, settings.ccParams));
    if (ccParams.version !== measurement)
      throw new EnclaveError(
        "WRONG_CONTEXT",
        `the chaincode ${ccParams.chaincodeId} is defined for enclaves of measurement ${ccParams.version}; this one's is ${measurement}`,
        { hint: "define the chaincode with this measurement as its version, or start the enclave of that version" },
      );
    const trustedLedger = decodeStrict(TrustedLedgerParametersSchema, settings.trustedLedger, ["ercc_name"]);
    const [signing, encryption] = await Promise.all([newSigningKeyPair(), newEncryptionKeyPair()]);
    const attested = create(AttestedDataSchema, {
      ccParams,
      hostParams: decodeStrict(HostParametersSchema, settings.hostParams),
      enclaveVk: signing.publicPem,
      channelHash: settings.channelHash,
      tlccMrenclave: trustedLedger.tlccMrenclave,
      enclaveEk: encryption.publicPem,
      onCreation: true,
      trustedLedgerHash: sha256(settings.trustedLedger),
    });
    return new EnclaveIdentity(attested, signing.privatePem, encryption.privatePem);
  }

  /** The same enclave for another sequence of its chaincode's definition, with copies of its secrets. */
  withSequence(sequence: bigint): EnclaveIdentity {
    const ccParams = create(CCParametersSchema, { ...this.read.ccParams, sequence });
    const attested = create(AttestedDataSchema, { ...this.attested, ccParams });
    return new EnclaveIdentity(attested, this.sk.clone(), this.dk.clone());
  }

  get signingKey(): KeyObject {
    return readSigningKey(this.sk);
  }

  get decryptionKey(): KeyObject {
    return readDecryptionKey(this.dk);
  }

  /**
   * Has the backend quote what is attested.
   *
   * @param onCreation - True once in an enclave's life.
   */
  async attest(backend: TeeBackend, onCreation: boolean): Promise<Credentials> {
    const attested = create(AttestedDataSchema, { ...this.attested, onCreation });
    const statement = packAny(AttestedDataSchema, attested).value;
    return credentialsOf(attested, await backend.quote(statement));
  }

  [Symbol.dispose](): void {
    this.sk[Symbol.dispose]();
    this.dk[Symbol.dispose]();
  }
}

/** Without evidence: making it takes collateral from outside, which an enclave has no way to. */
function credentialsOf(attested: AttestedData, attestation: Uint8Array): Credentials {
  return create(CredentialsSchema, {
    serializedAttestedData: packAny(AttestedDataSchema, attested),
    attestation,
  });
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
