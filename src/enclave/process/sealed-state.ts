import { create } from "@bufbuild/protobuf";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { EnclaveError } from "../errors.ts";
import { AttestedDataSchema } from "../messages/generated/fpc/fpc_pb.ts";
import { KeyGenerationSchema } from "../messages/generated/fpc/key_dist_pb.ts";
import {
  type LedgerSeen,
  LedgerSeenSchema,
  type SealedBlob,
  SealedBlobSchema,
  type SealedEnclave,
  SealedEnclaveSchema,
  type SealedHeader,
  SealedHeaderSchema,
} from "../messages/generated/fpc/sealed_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import type { SealedFor, TeeBackend } from "../tee/backend.ts";
import { EnclaveIdentity } from "./identity.ts";

/** A generation that this enclave holds. */
export interface HeldGeneration {
  readonly keys: ChaincodeGeneration;
  /** The ledger has been seen to list this enclave as its holder. */
  readonly registered: boolean;
}

/** All that an enclave keeps over its process's end. */
export interface EnclaveState {
  readonly identity: EnclaveIdentity;
  /** Ascending numbers without a gap. */
  readonly generations: readonly HeldGeneration[];
  /** One more with each blob of this enclave. */
  readonly blobNumber: bigint;
  /** Of the ledger, at the time of the seal. */
  readonly seen: LedgerSeen;
}

const formatVersion = 1;

/** The bytes of a SealedBlob: header in clear, all else encrypted under this platform and measurement, bound to the header. */
export async function sealState(backend: TeeBackend, state: EnclaveState): Promise<Buffer> {
  const header = await headerOf(backend, state);
  using secret = encodeState(state);
  const ciphertext = await backend.seal(secret, encode(SealedHeaderSchema, header), subjectOf(state.identity));
  return encode(SealedBlobSchema, create(SealedBlobSchema, { header, ciphertext }));
}

/**
 * @param enclaveId - Upper-case hexadecimal; whose blob it has to be.
 * @throws EnclaveError UNSEAL_FAILED: of another platform, measurement or enclave, or altered
 */
export async function unsealState(backend: TeeBackend, blob: Uint8Array, enclaveId: string): Promise<EnclaveState> {
  const { header, ciphertext } = readSealedBlob(blob);
  await checkSealer(backend, header);
  if (hex(header.enclaveId) !== enclaveId)
    throw refused(`the sealed blob is that of enclave ${hex(header.enclaveId)}, not of ${enclaveId}`);
  using secret = await backend.unseal(ciphertext, encode(SealedHeaderSchema, header));
  const state = decodeState(secret);
  // The seal binds the header; that it tells of what is within is this code's own doing, and is checked all the same.
  if (!encode(SealedHeaderSchema, await headerOf(backend, state)).equals(encode(SealedHeaderSchema, header))) {
    disposeState(state);
    throw refused("the sealed blob's header does not tell of what is sealed");
  }
  return state;
}

/** @throws EnclaveError UNSEAL_FAILED: not of the form of a sealed blob */
export function readSealedBlob(blob: Uint8Array): SealedBlob & { readonly header: SealedHeader } {
  let read: SealedBlob | undefined;
  try {
    read = decodeStrict(SealedBlobSchema, blob, ["header", "ciphertext"]);
  } catch {
    // Said below.
  }
  if (read?.header === undefined || read.header.format !== formatVersion)
    throw refused(`this is no sealed blob of format ${formatVersion}, or an altered one`);
  return { ...read, header: read.header };
}

/** Wipes every key. */
export function disposeState(state: EnclaveState): void {
  state.identity[Symbol.dispose]();
  for (const { keys } of state.generations) keys[Symbol.dispose]();
}

function subjectOf({ read: { enclaveId, mspId, ccParams } }: EnclaveIdentity): SealedFor {
  return { enclaveId: enclaveId.text, mspId, channelId: ccParams.channelId, chaincodeId: ccParams.chaincodeId };
}

async function headerOf(backend: TeeBackend, { identity, generations, blobNumber }: EnclaveState) {
  const { ccParams, enclaveId } = identity.read;
  const newest = generations.at(-1)?.keys;
  return create(SealedHeaderSchema, {
    tee: backend.kind,
    measurement: await backend.measure(),
    format: formatVersion,
    channelId: ccParams.channelId,
    chaincodeId: ccParams.chaincodeId,
    sequence: ccParams.sequence,
    enclaveId: enclaveId.bytes,
    generation: newest?.number ?? 0n,
    chaincodeEkHash: newest?.ekHash ?? new Uint8Array(),
    blobNumber,
  });
}

/** For the message; the backend would refuse each of these as well. */
async function checkSealer(backend: TeeBackend, header: SealedHeader): Promise<void> {
  if (header.tee !== backend.kind)
    throw refused(`the sealed blob is of a ${header.tee} platform, and this is a ${backend.kind} one`);
  const measurement = await backend.measure();
  if (header.measurement !== measurement)
    throw new EnclaveError(
      "UNSEAL_FAILED",
      `the sealed blob is of version ${header.measurement}, and this enclave is ${measurement}`,
      { hint: "run that version; its keys come to this one by an export that the policy's successor allows" },
    );
}

function encodeState({ identity, generations, blobNumber, seen }: EnclaveState): SecretBuffer {
  const held = generations.map(({ keys }) =>
    create(KeyGenerationSchema, {
      number: keys.number,
      stateEncryptionKey: keys.stateKey.expose((bytes) => Buffer.from(bytes)),
      chaincodeDk: keys.dkPem.expose((bytes) => Buffer.from(bytes)),
    }),
  );
  const message = create(SealedEnclaveSchema, {
    attestedData: identity.attested,
    enclaveSk: identity.sk.expose((bytes) => Buffer.from(bytes)),
    enclaveDk: identity.dk.expose((bytes) => Buffer.from(bytes)),
    generations: held,
    registered: generations.map(({ registered }) => registered),
    blobNumber,
    seen,
  });
  try {
    return SecretBuffer.take(encode(SealedEnclaveSchema, message));
  } finally {
    wipe(message);
  }
}

function decodeState(secret: SecretBuffer): EnclaveState {
  const message = secret.expose((bytes) =>
    decodeStrict(SealedEnclaveSchema, bytes, ["attested_data", "enclave_sk", "enclave_dk", "blob_number"]),
  );
  const generations: HeldGeneration[] = [];
  try {
    const { attestedData, registered } = message;
    // In memory of its own, as what is attested below.
    const seen = decodeStrict(LedgerSeenSchema, encode(LedgerSeenSchema, message.seen ?? create(LedgerSeenSchema)));
    if (attestedData === undefined || registered.length !== message.generations.length) throw refused();
    for (const [index, generation] of message.generations.entries())
      generations.push({
        keys: ChaincodeGeneration.fromMessage(generation),
        registered: registered[index] ?? false,
      });
    checkNumbers(generations);
    const identity = new EnclaveIdentity(
      // What was decoded are views of the secret, which is wiped.
      decodeStrict(AttestedDataSchema, encode(AttestedDataSchema, attestedData)),
      SecretBuffer.copyOf(message.enclaveSk),
      SecretBuffer.copyOf(message.enclaveDk),
    );
    return { identity, generations, blobNumber: message.blobNumber, seen };
  } catch (cause) {
    for (const { keys } of generations) keys[Symbol.dispose]();
    throw new EnclaveError("UNSEAL_FAILED", "what is sealed is not the state of an enclave", { cause });
  } finally {
    wipe(message);
  }
}

function checkNumbers(generations: readonly HeldGeneration[]): void {
  for (const [index, { keys }] of generations.entries())
    if (keys.number !== (generations[0]?.keys.number ?? 0n) + BigInt(index)) throw refused();
}

function wipe(message: SealedEnclave): void {
  message.enclaveSk.fill(0);
  message.enclaveDk.fill(0);
  for (const { stateEncryptionKey, chaincodeDk } of message.generations) {
    stateEncryptionKey.fill(0);
    chaincodeDk.fill(0);
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex").toUpperCase();
}

function refused(message = "what is sealed is not the state of an enclave"): EnclaveError {
  return new EnclaveError("UNSEAL_FAILED", message);
}
