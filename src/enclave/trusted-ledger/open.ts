import { create } from "@bufbuild/protobuf";
import { EnclaveError } from "../errors.ts";
import { toEvidence } from "../evidence/attestation-json.ts";
import type { EvidenceJudge } from "../evidence/judge.ts";
import { PolicySchema, type TrustedLedgerParameters } from "../messages/generated/fpc/policy_pb.ts";
import type { TeeBackend } from "../tee/backend.ts";
import type { LedgerExchange } from "./exchange.ts";
import { LedgerEnclaveReads } from "./ledger-enclave-reads.ts";
import type { EvidenceCheck } from "./session/attestation.ts";
import { SignedQuorumReads } from "./signed-quorum-reads.ts";
import type { SeenLedger, TrustedLedger } from "./trusted-ledger.ts";

/** What an enclave knows of itself when it opens its view of the ledger. */
export interface TrustedLedgerContext {
  readonly channelId: string;
  /** As attested: 32 bytes. */
  readonly channelHash: Uint8Array;
  readonly chaincodeId: string;
  /** Upper-case hexadecimal. */
  readonly enclaveId: string;
  readonly tee: Pick<TeeBackend, "quote">;
  readonly judge: EvidenceJudge;
  /** Puts collateral beside an attestation. @defaultValue none is needed, as with every type but Intel's */
  readonly toEvidence?: (attestation: Uint8Array) => Promise<Uint8Array>;
  /** Of an earlier opening: nothing older is taken. @defaultValue nothing */
  readonly seen?: SeenLedger;
  /** @defaultValue the system's clock */
  readonly nowMs?: () => number;
}

/** Intel publishes collateral for 30 days; a statement with a nonce in it cannot be older than its nonce. */
const collateralAgeSeconds = 30n * 86_400n;
const acceptedTcbStatuses = ["UpToDate", "SWHardeningNeeded"];

/**
 * The view of the ledger that an enclave's attested parameters name: signed quorum reads, or a ledger enclave.
 *
 * @throws EnclaveError MALFORMED: the parameters name neither or both, or cannot be
 */
export function openTrustedLedger(
  parameters: TrustedLedgerParameters,
  exchange: LedgerExchange,
  context: TrustedLedgerContext,
): TrustedLedger {
  const { erccName, organisations, quorum, tlccMrenclave } = parameters;
  if (erccName === "") throw new EnclaveError("MALFORMED", "TrustedLedgerParameters.ercc_name is missing or empty");
  if ((tlccMrenclave === "") === (organisations.length === 0))
    throw new EnclaveError(
      "MALFORMED",
      "TrustedLedgerParameters names neither organisations nor a ledger enclave, or both",
    );
  const { channelId, channelHash, chaincodeId, enclaveId, seen, nowMs = Date.now } = context;
  if (tlccMrenclave === "")
    return new SignedQuorumReads(exchange, {
      channelId,
      erccName,
      chaincodeId,
      quorum,
      nowMs,
      ...(seen && { seen: seen.records }),
      organisations: organisations.map(({ mspId, rootCertificates }) => ({
        mspId,
        roots: rootCertificates.map((pem) => Buffer.from(pem).toString("latin1")),
      })),
    });
  const conversion = context.toEvidence ?? (async (attestation: Uint8Array) => toEvidence(attestation));
  return new LedgerEnclaveReads(exchange, {
    channelId,
    channelHash,
    chaincodeId,
    enclaveId,
    erccName,
    minimumBlock: seen?.block ?? 0n,
    check: ledgerEnclaveCheck(parameters, context.judge, nowMs),
    attest: async (statement) => {
      const attestation = await context.tee.quote(statement);
      return { attestation, evidence: await conversion(attestation) };
    },
  });
}

/** Demands that evidence is of the ledger enclave that the parameters name: its measurement, and its platform's root. */
export function ledgerEnclaveCheck(
  { tlccMrenclave, tlccAttestationRoot, tlccAttestationType }: TrustedLedgerParameters,
  judge: EvidenceJudge,
  nowMs: () => number,
): EvidenceCheck {
  if (!/^[0-9A-F]{64}$/.test(tlccMrenclave))
    throw new EnclaveError("MALFORMED", "TrustedLedgerParameters.tlcc_mrenclave is not 64 upper-case hex digits");
  const policy = create(PolicySchema, {
    allowedVersions: [tlccMrenclave],
    allowedAttestationTypes: [tlccAttestationType],
    allowedTcbStatuses: acceptedTcbStatuses,
    evidenceAgeSeconds: collateralAgeSeconds,
    attestationRoots:
      tlccAttestationRoot.length === 0 ? [] : [{ attestationType: tlccAttestationType, root: tlccAttestationRoot }],
  });
  return async (statement, evidence) => {
    await judge.judge({ ...evidence, statement, measurement: tlccMrenclave, policy, atMs: nowMs(), floor: undefined });
  };
}
