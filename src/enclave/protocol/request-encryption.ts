import { constants, createHash, type KeyObject, privateDecrypt, publicEncrypt } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { kernelRandomBytes } from "../../crypto/kernel-random.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import {
  type ChaincodeInput,
  ChaincodeInputSchema,
  type Response,
  ResponseSchema,
} from "../messages/generated/fabric/peer_pb.ts";
import {
  type ChaincodeRequestMessage,
  ChaincodeRequestMessageSchema,
  type CleartextChaincodeRequest,
  CleartextChaincodeRequestSchema,
  KeyTransportMessageSchema,
} from "../messages/generated/fpc/fpc_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { checkHash } from "./fields.ts";
import { readEncryptionKey } from "./key-formats.ts";
import { decryptMessage, encryptMessage, messageKeyBytes } from "./message-cipher.ts";

/** What a request says beside its arguments; an upstream client's says neither. */
export interface RequestLimits {
  /** msp.SerializedIdentity of the client: in nobody else's proposal the request is run. */
  readonly creator?: Uint8Array;
  /** What a ledger enclave's answers for this call have to rest on at least. @defaultValue `0n` */
  readonly minimumBlock?: bigint;
}

export interface ConcealedRequest {
  readonly message: ChaincodeRequestMessage;
  /** Opens the answer; the caller's to wipe. */
  readonly responseKey: SecretBuffer;
}

/**
 * The client's side of upstream's request path: the arguments by AES-128-GCM, its keys by RSA-OAEP with SHA-1 (RFC 8017 section
 * 7.1; here alone, because upstream's clients and enclaves speak nothing else) to the chaincode's EK.
 *
 * @param args - The function's name first.
 * @throws EnclaveError MALFORMED: not an EK
 */
export function concealRequest(
  chaincodeEk: Uint8Array,
  args: readonly Uint8Array[],
  { creator, minimumBlock = 0n }: RequestLimits = {},
): ConcealedRequest {
  const ek = readEncryptionKey(chaincodeEk, "chaincode_ek");
  const requestKey = kernelRandomBytes(messageKeyBytes);
  const responseKey = kernelRandomBytes(messageKeyBytes);
  const transport = toBinary(
    KeyTransportMessageSchema,
    create(KeyTransportMessageSchema, { requestEncryptionKey: requestKey, responseEncryptionKey: responseKey }),
  );
  try {
    const input = create(ChaincodeInputSchema, { args: [...args] });
    const request = encode(
      CleartextChaincodeRequestSchema,
      create(CleartextChaincodeRequestSchema, {
        input,
        minimumBlock,
        creatorHash: creator === undefined ? new Uint8Array() : sha256(creator),
      }),
    );
    const message = create(ChaincodeRequestMessageSchema, {
      encryptedRequest: encryptMessage(requestKey, request),
      encryptedKeyTransportMessage: publicEncrypt(oaepWithSha1(ek), transport),
    });
    return { message, responseKey: SecretBuffer.copyOf(responseKey) };
  } finally {
    for (const secret of [requestKey, responseKey, transport]) secret.fill(0);
  }
}

/** What an enclave makes of a request. Whoever disposes of it wipes the key of the answer. */
export class RevealedRequest implements Disposable {
  readonly input: ChaincodeInput;
  readonly responseKey: SecretBuffer;
  /** SHA-256 of the ChaincodeRequestMessage, which the answer carries. */
  readonly requestHash: Buffer;
  /** What the client wants a ledger enclave's answers for this call to rest on at least. */
  readonly minimumBlock: bigint;
  /** Whose it is, where it says so. */
  readonly #creatorHash: Buffer;

  constructor(bytes: Uint8Array, { input, minimumBlock, creatorHash }: CleartextChaincodeRequest, key: SecretBuffer) {
    if (input === undefined || input.args.length === 0)
      throw new EnclaveError("MALFORMED", "ChaincodeInput.args is missing or empty");
    if (creatorHash.length > 0) checkHash(creatorHash, "CleartextChaincodeRequest.creator_hash");
    this.input = input;
    this.responseKey = key;
    this.requestHash = requestHashOf(bytes);
    this.minimumBlock = minimumBlock;
    this.#creatorHash = Buffer.from(creatorHash);
  }

  /**
   * Demands that the client whose request it is has proposed it. Who hosts an enclave, or carries a proposal, could otherwise
   * propose a copy as his own: bid what another bids, say, or have stored under his name what he must not read.
   *
   * @param creator - msp.SerializedIdentity of the proposal.
   * @throws EnclaveError UNAUTHORIZED
   */
  requireProposedBy(creator: Uint8Array): void {
    if (this.#creatorHash.length > 0 && !this.#creatorHash.equals(sha256(creator)))
      throw new EnclaveError("UNAUTHORIZED", "the request is of another client than the proposal's");
  }

  [Symbol.dispose](): void {
    this.responseKey[Symbol.dispose]();
  }
}

/**
 * The enclave's side.
 *
 * @param bytes - The ChaincodeRequestMessage.
 * @param dk - Chaincode_DK of the generation that the client encrypted to.
 * @throws EnclaveError MALFORMED, naming the field; BAD_CIPHERTEXT
 */
export function revealRequest(bytes: Uint8Array, dk: KeyObject): RevealedRequest {
  const message = decodeStrict(ChaincodeRequestMessageSchema, bytes, [
    "encrypted_request",
    "encrypted_key_transport_message",
  ]);
  using transport = openTransport(message.encryptedKeyTransportMessage, dk);
  return transport.expose((exposed) => {
    const { requestEncryptionKey, responseEncryptionKey } = decodeStrict(KeyTransportMessageSchema, exposed, [
      "request_encryption_key",
      "response_encryption_key",
    ]);
    checkKey(requestEncryptionKey, "request_encryption_key");
    checkKey(responseEncryptionKey, "response_encryption_key");
    // Upstream takes no shorter text than one byte.
    if (message.encryptedRequest.length <= 28)
      throw new EnclaveError("BAD_CIPHERTEXT", "the request is too short to be one");
    const text = decryptMessage(requestEncryptionKey, message.encryptedRequest, "the request");
    const request = decodeStrict(CleartextChaincodeRequestSchema, text, ["input"]);
    return new RevealedRequest(bytes, request, SecretBuffer.copyOf(responseEncryptionKey));
  });
}

/** @param bytes - The ChaincodeRequestMessage. */
export function requestHashOf(bytes: Uint8Array): Buffer {
  return sha256(bytes);
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

/** The chaincode's answer, status and all, for the request's client alone. */
export function concealResponse(responseKey: SecretBuffer, response: Response): Buffer {
  return responseKey.expose((key) => encryptMessage(key, encode(ResponseSchema, response)));
}

/** @throws EnclaveError BAD_CIPHERTEXT; MALFORMED */
export function revealResponse(responseKey: SecretBuffer, encrypted: Uint8Array): Response {
  if (encrypted.length <= 28) throw new EnclaveError("BAD_CIPHERTEXT", "the response is too short to be one");
  return decodeStrict(
    ResponseSchema,
    responseKey.expose((key) => decryptMessage(key, encrypted, "the response")),
  );
}

function openTransport(encrypted: Uint8Array, dk: KeyObject): SecretBuffer {
  try {
    return SecretBuffer.take(privateDecrypt(oaepWithSha1(dk), encrypted));
  } catch {
    throw new EnclaveError("BAD_CIPHERTEXT", "the keys of the request do not open");
  }
}

function oaepWithSha1(key: KeyObject) {
  return { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" };
}

function checkKey(key: Uint8Array, field: string): void {
  if (key.length !== messageKeyBytes)
    throw new EnclaveError("MALFORMED", `KeyTransportMessage.${field} is not of ${messageKeyBytes} bytes`);
}
