import { EnclaveError } from "../errors.ts";
import { CredentialsSchema } from "../messages/generated/fpc/fpc_pb.ts";
import type { SignedExportMessage } from "../messages/generated/fpc/key_dist_pb.ts";
import { decodeStrict } from "../messages/strict.ts";
import { type ReadCredentials, readCredentials } from "../protocol/attested-data.ts";
import type { ChaincodeGeneration } from "../protocol/chaincode-keys.ts";
import { makeExport } from "../protocol/export.ts";
import { allowsExport, allowsVersion, mayInherit } from "../protocol/policy.ts";
import { checkLedgerKey, checkStateKey } from "./ledger-key.ts";
import type { OpenEnclave } from "./open-enclave.ts";
import type { PolicyInForce } from "./policy-in-force.ts";

/**
 * Steps 15 to 18 of the document. The keys leave for the EK that the receiver's own evidence proves, and for no other: this
 * enclave judges the evidence itself (decision 0604), whatever its host says.
 *
 * @param credentials - The receiver's, bytes of fpc.Credentials.
 * @param number - Left out: the active generation.
 * @throws EnclaveError NOT_PROVISIONED; MALFORMED; WRONG_CONTEXT: of another channel, chaincode or ledger, or this enclave's
 *   own; NOT_REGISTERED: not the ledger's credentials; NOT_FOUND: the export is not announced; POLICY_DENIED; BAD_EVIDENCE; EK_MISMATCH
 */
export async function exportKeys(
  enclave: OpenEnclave,
  policyInForce: PolicyInForce,
  credentials: Uint8Array,
  number?: bigint,
): Promise<SignedExportMessage> {
  enclave.newest();
  const message = decodeStrict(CredentialsSchema, credentials, ["serialized_attested_data", "evidence"]);
  const receiver = readCredentials(message);
  const own = enclave.identity.read;
  checkContext(own, receiver);
  const { ledger, parts } = enclave;

  const state = await ledger.keyState();
  const wanted = number ?? state?.active;
  const held = wanted === undefined ? undefined : enclave.generation(wanted);
  if (held === undefined)
    throw new EnclaveError("NOT_PROVISIONED", `this enclave does not hold generation ${wanted ?? 1n} of the keys`);
  await checkLedgerKey(enclave, held.keys.number, held.keys.ekPem);
  checkStateKey(held.keys, await ledger.generation(held.keys.number));
  if (state !== undefined && held.keys.number <= state.rotateAbove)
    throw new EnclaveError(
      "POLICY_DENIED",
      `generation ${held.keys.number} is exported no more: an enclave was revoked`,
    );

  const registered = await ledger.credentials(receiver.enclaveId.text);
  if (!registered?.statement.equals(receiver.statement))
    throw new EnclaveError("NOT_REGISTERED", `the ledger has no such credentials of ${receiver.enclaveId.text}`);
  const policy = await policyInForce.read();
  if (!mayInherit(policy, own.ccParams, receiver.ccParams) || !allowsVersion(policy, receiver.ccParams.version))
    throw new EnclaveError("POLICY_DENIED", "the policy does not let enclaves of that version have the keys");
  if (!allowsExport(policy, own.mspId, receiver.mspId))
    throw new EnclaveError("POLICY_DENIED", `the policy has no export from ${own.mspId} to ${receiver.mspId}`);
  if (!(await ledger.canEndorse(receiver.enclaveId.text)))
    throw new EnclaveError(
      "POLICY_DENIED",
      `${receiver.enclaveId.text} cannot endorse for ${own.ccParams.chaincodeId}`,
    );

  await parts.judge.judge({
    statement: receiver.statement,
    attestation: message.attestation,
    evidence: message.evidence,
    // Its own, or the successor that the policy names: checked above. The chaincode's version is the measurement.
    measurement: receiver.ccParams.version,
    policy,
    atMs: parts.nowMs(),
    floor: await ledger.floor(),
  });
  await checkAnnounced(enclave, receiver.enclaveId.text, held.keys);
  const sender = { sk: enclave.identity.signingKey, vkPem: own.vkPem, ccParamsHash: own.ccParamsHash };
  const signed = makeExport({ sender, receiver, generation: held.keys });
  parts.reached("signed");
  return signed;
}

/**
 * What leaves here cannot be called back, whether or not it is ever put on the ledger. So the ledger has to name the receiver
 * before: who revokes it then stops the generation (decision 0626).
 */
async function checkAnnounced(enclave: OpenEnclave, receiverId: string, keys: ChaincodeGeneration): Promise<void> {
  const announced = await enclave.ledger.announced(receiverId, enclave.identity.read.enclaveId.text);
  if (announced?.generation === keys.number && keys.ekHash.equals(announced.chaincodeEkHash)) return;
  throw new EnclaveError("NOT_FOUND", `no export of generation ${keys.number} to ${receiverId} is announced`, {
    hint: "submit announceExport for it, then export again",
  });
}

function checkContext(own: ReadCredentials, receiver: ReadCredentials): void {
  const refuse = (what: string): never => {
    throw new EnclaveError("WRONG_CONTEXT", `the credentials are of an enclave ${what}`);
  };
  if (receiver.enclaveId.text === own.enclaveId.text) refuse("that is this one");
  if (receiver.ccParams.channelId !== own.ccParams.channelId) refuse("of another channel");
  if (receiver.ccParams.chaincodeId !== own.ccParams.chaincodeId) refuse("of another chaincode");
  const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(b);
  if (!same(receiver.attested.channelHash, own.attested.channelHash)) refuse("of a channel with another first block");
  if (!same(receiver.attested.trustedLedgerHash, own.attested.trustedLedgerHash)) refuse("that trusts another ledger");
}
