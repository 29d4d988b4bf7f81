import { createHash } from "node:crypto";
import { parseRecord, recordNames } from "../ercc/records.ts";
import { EnclaveError, type EnclaveErrorCode } from "../errors.ts";
import { toEvidence } from "../evidence/attestation-json.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import {
  SignedCCKeyRegistrationMessageSchema,
  SignedExportMessageSchema,
} from "../messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict, encode } from "../messages/strict.ts";
import { readCredentials } from "../protocol/attested-data.ts";
import { readExport } from "../protocol/export.ts";
import { mayInherit } from "../protocol/policy.ts";
import { readRegistration } from "../protocol/registration.ts";
import type { EnclaveAgent } from "../stub/agent.ts";
import type { EnclaveCreation } from "../stub/stub.ts";
import type { RegisteredEnclave, RegistryClient } from "./registry-client.ts";

/** What has been done of the document's sequence, for who called it and for the trace. */
export interface Initialised {
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  /** Whether keys were generated and registered: else the chaincode has keys, and they are to be imported. */
  readonly generated: boolean;
}

/**
 * `initEnclave` of the document: creates the enclave and registers it (step 1), asks ERCC for the chaincode's key (2), and where
 * there is none (3) has the keys generated and registered (4 to 11). Called again after whatever interruption, it goes on.
 *
 * @throws EnclaveError what the stub, the enclave or ERCC refuse with; ALREADY_SET or CONFLICT: another enclave's keys came
 *   first, see {@link giveWay}
 */
export async function initialise(
  client: RegistryClient,
  stub: EnclaveAgent,
  creation: EnclaveCreation,
): Promise<Initialised> {
  const enclaveId = await registerEnclave(client, await stub.initEnclave(creation));
  if ((await client.chaincodeEncryptionKey()) !== undefined) {
    return { enclaveId, generated: await client.isProvisioned(enclaveId) };
  }
  await generate(client, stub);
  return { enclaveId, generated: true };
}

/**
 * Makes an attestation into evidence and registers the enclave, unless it is for this sequence or a later one.
 *
 * @param credentials - fpc.Credentials as the stub gives them, without evidence
 * @returns The enclave's id, upper-case hexadecimal
 * @throws EnclaveError POLICY_DENIED: it is revoked; what ERCC refuses with
 */
export async function registerEnclave(client: RegistryClient, credentials: Uint8Array): Promise<string> {
  const message = decodeStrict(CredentialsSchema, credentials, ["serialized_attested_data", "attestation"]);
  const { enclaveId, ccParams } = readCredentials(message, "not yet");
  const [registered, revoked] = await Promise.all([client.enclave(enclaveId.text), revokedIds(client)]);
  if (revoked.includes(enclaveId.text))
    throw new EnclaveError("POLICY_DENIED", `enclave ${enclaveId.text} is revoked`, {
      hint: "create another one, under another name (--enclave)",
    });
  if (registered !== undefined && registered.ccParams.sequence >= ccParams.sequence) return enclaveId.text;
  message.evidence = toEvidence(message.attestation);
  await client.submit("registerEnclave", encode(CredentialsSchema, message));
  return enclaveId.text;
}

/** Steps 4 to 11: the chaincode's first keys. Keys that were generated and not registered are registered now. */
export async function generate(client: RegistryClient, stub: EnclaveAgent): Promise<void> {
  await registerKeys(client, stub, await madeOrThere(stub, stub.generateCCKeys()));
}

/**
 * For who has lost the race to generate: drops the own keys, which can never become the chaincode's, so that they can be
 * imported.
 */
export async function giveWay(stub: EnclaveAgent): Promise<readonly bigint[]> {
  return await stub.discardNeverRegisteredKeys();
}

export interface Exported {
  readonly receiverId: string;
  readonly mspId: string;
}

/**
 * `exportcckeys` of the document (13 to 20): the keys of this enclave to others that have none. Called again after an
 * interruption, it leaves alone what waits for its receiver already.
 *
 * @param receivers - Ids, upper-case hexadecimal. Left out: every registered enclave that is neither provisioned, nor revoked, nor this one
 * @throws EnclaveError NOT_FOUND: there is nobody to export to, or not this one; what the enclave or ERCC refuse with
 */
export async function exportKeys(
  client: RegistryClient,
  stub: EnclaveAgent,
  receivers?: readonly string[],
  generation?: bigint,
): Promise<readonly Exported[]> {
  const own = ownId(stub);
  const exported: Exported[] = [];
  for (const target of await exportTargets(client, own, receivers)) {
    const { enclaveId, mspId, credentials } = target;
    const number = generation ?? (await client.keyState())?.active;
    // Without a key on the ledger there is nothing to announce; the enclave says what is wrong.
    if (number !== undefined)
      await client.submit("announceExport", client.chaincodeId, own, enclaveId.text, `${number}`);
    const message = await stub.exportCCKeys(credentials, generation);
    await client.submit("putKeyExport", client.chaincodeId, message).catch(async (error: unknown) => {
      if (isCode(error, "CONFLICT") && (await waitsAlready(client, enclaveId.text, message))) return;
      throw error;
    });
    exported.push({ receiverId: enclaveId.text, mspId });
  }
  return exported;
}

/** Whether an export of the same keys lies on the ledger for this receiver. */
async function waitsAlready(client: RegistryClient, receiverId: string, message: Uint8Array): Promise<boolean> {
  const own = readExport(decodeStrict(SignedExportMessageSchema, message));
  const waiting = readExport(decodeStrict(SignedExportMessageSchema, await client.keyExport(receiverId)));
  return waiting.generation === own.generation && Buffer.from(waiting.chaincodeEk).equals(own.chaincodeEk);
}

async function exportTargets(
  client: RegistryClient,
  own: string,
  receivers: readonly string[] | undefined,
): Promise<readonly RegisteredEnclave[]> {
  if (receivers !== undefined) return await Promise.all(receivers.map((id) => client.requireEnclave(id)));
  const provisioned = await client.provisioned();
  const skipped = new Set([own, ...(await revokedIds(client)), ...provisioned]);
  const missing = (await client.enclaves()).filter(({ enclaveId }) => !skipped.has(enclaveId.text));
  const eligible = await inheritors(client, own, missing);
  // Where none is, the refusal of the first says why.
  const targets = eligible.length > 0 ? eligible : missing;
  if (targets.length === 0 && !provisioned.includes(own))
    throw new EnclaveError("NOT_PROVISIONED", `enclave ${own} of this host holds no keys of ${client.chaincodeId}`);
  if (targets.length === 0)
    throw new EnclaveError("NOT_FOUND", `every other enclave of ${client.chaincodeId} has its keys, or is revoked`, {
      hint: "create and register the enclave first that is to have them",
    });
  return targets;
}

/** Upper-case hexadecimal. */
async function revokedIds(client: RegistryClient): Promise<readonly string[]> {
  return (await client.revocations()).map((one) => Buffer.from(one.enclaveId).toString("hex").toUpperCase());
}

/** Those to which an enclave's keys may go: of its own parameters, or of the successor that the policy names. */
export async function inheritors(
  client: RegistryClient,
  own: string,
  enclaves: readonly RegisteredEnclave[],
): Promise<readonly RegisteredEnclave[]> {
  const [policy, { ccParams }] = await Promise.all([client.policy(), client.requireEnclave(own)]);
  return enclaves.filter((one) => mayInherit(policy, ccParams, one.ccParams));
}

/**
 * `importcckeys` of the document (21 to 28): takes what was exported to this enclave, and registers that it holds it. Also for a
 * generation that is proposed, which it confirms so.
 *
 * @throws EnclaveError NOT_REGISTERED: this enclave; NOT_FOUND: nothing was exported to it; POLICY_DENIED: it is revoked; what the enclave or ERCC refuse with
 */
export async function importKeys(client: RegistryClient, stub: EnclaveAgent): Promise<void> {
  const own = ownId(stub);
  if ((await client.enclave(own)) === undefined)
    throw new EnclaveError("NOT_REGISTERED", `enclave ${own} of this host is not registered for ${client.chaincodeId}`);
  const message = await client.keyExport(own);
  if (await hasRegistered(stub, message)) {
    if (!(await revokedIds(client)).includes(own)) return;
    throw new EnclaveError("POLICY_DENIED", `enclave ${own} gets no keys: it is revoked`);
  }
  try {
    await registerKeys(client, stub, await madeOrThere(stub, stub.importCCKeys(message)));
  } catch (error) {
    if (!isCode(error, "EK_MISMATCH")) throw error;
    // Keys of a proposal that came to nothing are in the way: the enclave drops them where the ledger has others of their number.
    await stub.discardNeverRegisteredKeys().catch(() => {
      throw error;
    });
    await registerKeys(client, stub, await stub.importCCKeys(message));
  }
}

/** Whether the enclave has these very keys, and has seen that the ledger lists it for them: an export that was taken long ago. */
async function hasRegistered(stub: EnclaveAgent, message: Uint8Array): Promise<boolean> {
  const { generation, chaincodeEk } = readExport(decodeStrict(SignedExportMessageSchema, message));
  const { enclave } = await stub.status();
  const held = enclave?.generations.find(({ number }) => BigInt(number) === generation);
  const ekHash = createHash("sha256").update(chaincodeEk).digest("hex").toUpperCase();
  return held?.registered === true && held.ekHash === ekHash;
}

/**
 * Steps 10 and 28, and then the enclave sees on the ledger that it is listed: from there an older ledger is refused. Where the
 * ledger lists it already for just this, only that is done.
 */
export async function registerKeys(
  client: RegistryClient,
  stub: EnclaveAgent,
  registration: Uint8Array,
): Promise<void> {
  await client.submit("registerCCKeys", client.chaincodeId, registration).catch(async (error: unknown) => {
    if (isCode(error, "ALREADY_SET") && (await isListed(client, ownId(stub), registration))) return;
    throw error;
  });
  await stub.compareWithLedger();
}

async function isListed(client: RegistryClient, enclaveId: string, registration: Uint8Array): Promise<boolean> {
  const own = readRegistration(decodeStrict(SignedCCKeyRegistrationMessageSchema, registration));
  const names = [
    recordNames.provisioned(client.chaincodeId, enclaveId),
    recordNames.confirmed(client.chaincodeId, own.generation, enclaveId),
  ];
  for (const name of names) {
    const record = await client.record(name);
    if (record === undefined) continue;
    const listed = readRegistration(parseRecord(record, SignedCCKeyRegistrationMessageSchema));
    if (listed.generation === own.generation && Buffer.from(listed.chaincodeEk).equals(own.chaincodeEk)) return true;
  }
  return false;
}

export function ownId(stub: EnclaveAgent): string {
  return readCredentials(decodeStrict(CredentialsSchema, stub.credentials()), "not yet").enclaveId.text;
}

/** The registration of keys that a step makes; after a crash they are there already, and it can be had again. */
export async function madeOrThere(stub: EnclaveAgent, made: Promise<Buffer>): Promise<Buffer> {
  try {
    return await made;
  } catch (error) {
    if (isCode(error, "KEYS_EXIST")) return await stub.reEmitRegistration();
    throw error;
  }
}

function isCode(error: unknown, code: EnclaveErrorCode): boolean {
  return error instanceof EnclaveError && error.code === code;
}
