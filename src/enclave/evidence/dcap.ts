import { createHash } from "node:crypto";
import type { AuthDataV4, Collateral, EnclaveReport, Quote, TDReport10 } from "@phala/dcap-qvl";
import { type AttestationFields, collateralFields, fieldBytes } from "./attestation-json.ts";
import { verifyDcapPki } from "./dcap-collateral.ts";
import { judgeTdxModule } from "./dcap-tdx-module.ts";
import { badEvidence, type EvidenceVerifier, type Finding, type TcbFinding } from "./verifier.ts";

const maxQuoteBytes = 16_384;

/** SHA-256 of "Intel SGX Root CA" in DER, which the quote library has built in. */
const intelRootHash = "44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3";

/**
 * Quotes of Intel's Data Center Attestation Primitives: SGX (version 3) and TDX (version 4), with the collateral of Intel's
 * service inside the evidence, judged at the transaction's time. `@phala/dcap-qvl` verifies quote, QE report and TCB level;
 * the certificates and revocation lists are verified here before (see dcap-collateral.ts).
 *
 * @param root - DER of the root; Intel's unless a test has its own
 */
export function dcapVerifiers(root?: Uint8Array): readonly EvidenceVerifier[] {
  return [
    { type: "sgx-dcap", verify: async (evidence, { atMs }) => await verifyDcap(evidence, atMs, "sgx", root) },
    { type: "tdx-dcap", verify: async (evidence, { atMs }) => await verifyDcap(evidence, atMs, "td10", root) },
  ];
}

/** What a quote says, verified or not. */
export interface DcapReport {
  readonly measurement: string;
  /** 64 bytes: SHA-256 of the statement, then zeros. */
  readonly reportData: Buffer;
}

/**
 * The measurement of SGX is MRENCLAVE. Of TDX it is SHA-256 over the name of this format and MRTD, MRCONFIGID, MROWNER,
 * MROWNERCONFIG and RTMR0-3, since MRTD alone covers the firmware and not what it starts.
 */
export function dcapReportOf(quote: Quote): DcapReport {
  const { data, type } = quote.report;
  const reportData = Buffer.from(data instanceof Object && "reportData" in data ? data.reportData : []);
  if (type === "sgx")
    return {
      measurement: Buffer.from((data as EnclaveReport).mrEnclave)
        .toString("hex")
        .toUpperCase(),
      reportData,
    };
  const td = data as TDReport10;
  const hash = createHash("sha256").update("strongroom/fpc/v1/tdx-measurement\0");
  for (const part of [td.mrTd, td.mrConfigId, td.mrOwner, td.mrOwnerConfig, td.rtMr0, td.rtMr1, td.rtMr2, td.rtMr3])
    hash.update(part);
  return { measurement: hash.digest("hex").toUpperCase(), reportData };
}

/** Reads the report of a quote without verifying it: a backend asks this of its own. @throws EnclaveError BAD_EVIDENCE */
export async function readDcapReport(quote: Uint8Array): Promise<DcapReport> {
  const { Quote } = await import("@phala/dcap-qvl");
  return dcapReportOf(parseQuote(Quote, Buffer.from(quote), undefined));
}

async function verifyDcap(
  evidence: AttestationFields,
  atMs: number,
  tee: "sgx" | "td10",
  givenRoot: Uint8Array | undefined,
): Promise<Finding> {
  const { Quote, QuoteVerifier, constants } = await import("@phala/dcap-qvl");
  const root = Buffer.from(givenRoot ?? constants.TRUSTED_ROOT_CA_DER);
  if (givenRoot === undefined && createHash("sha256").update(root).digest("hex") !== intelRootHash)
    throw badEvidence("the quote library does not have Intel's root");
  const bytes = fieldBytes(evidence, "quote");
  const quote = parseQuote(Quote, bytes, tee);
  const collateral = collateralOf(evidence);
  verifyDcapPki(
    {
      pckChain: Buffer.from(quote.rawCertChain()).toString("latin1").replace(/\0$/, ""),
      pckCrlIssuerChain: collateral.pck_crl_issuer_chain,
      tcbInfoIssuerChain: collateral.tcb_info_issuer_chain,
      qeIdentityIssuerChain: collateral.qe_identity_issuer_chain,
      rootCrl: Buffer.from(collateral.root_ca_crl as string, "hex"),
      pckCrl: Buffer.from(collateral.pck_crl as string, "hex"),
    },
    root,
    atMs,
  );
  let verified: { status: string; advisory_ids: string[] };
  try {
    verified = QuoteVerifier.newWithRootCa(root).verify(bytes, collateral, Math.floor(atMs / 1000));
  } catch (error) {
    throw badEvidence(`the quote does not verify: ${(error as Error).message}`);
  }
  const tcb = tcbOf(collateral, verified, quote);
  const { measurement, reportData } = dcapReportOf(quote);
  if (!reportData.subarray(32).equals(Buffer.alloc(32)))
    throw badEvidence("the quote's report data is not of an enclave's");
  return { statementHash: reportData.subarray(0, 32), measurement, madeAtMs: tcb.issuedAtMs, tcb };
}

function parseQuote(quotes: typeof Quote, bytes: Buffer, tee: "sgx" | "td10" | undefined): Quote {
  if (bytes.length > maxQuoteBytes) throw badEvidence("the quote is too long");
  let quote: Quote;
  try {
    quote = quotes.parse(bytes);
  } catch (error) {
    throw badEvidence(`the quote is malformed: ${(error as Error).message}`);
  }
  if (tee !== undefined && quote.report.type !== tee) throw badEvidence("the quote is of another kind of platform");
  checkLayout(quote, bytes);
  return quote;
}

/**
 * The library takes no notice of bytes behind a part, nor of QE authentication data beyond what it hashes. Intel's quotes have
 * 32 bytes of that, the certificate chain (type 5), in version 4 inside a part of type 6, and nothing else.
 */
function checkLayout(quote: Quote, bytes: Buffer): void {
  const { qeAuthData, certificationData } = quote.authData.intoV3();
  const isVersion4 = quote.authData.version === 4;
  const outerType = isVersion4 ? (quote.authData.data as AuthDataV4).certificationData.certType : 6;
  const [signature, key, report, lengthOfAuthData, partHead] = [64, 64, 384, 2, 6];
  const authDataLength =
    signature + key + (isVersion4 ? partHead : 0) + report + signature + lengthOfAuthData + 32 + partHead;
  const length = quote.signedLength() + 4 + authDataLength + certificationData.body.length;
  if (qeAuthData.length !== 32 || certificationData.certType !== 5 || outerType !== 6 || bytes.length !== length)
    throw badEvidence("the quote has other parts than Intel's quotes, or bytes between or behind them");
}

function collateralOf(evidence: AttestationFields): Collateral {
  const entries = collateralFields.map((name) => {
    const value = evidence.get(name) ?? "";
    const isHex = !name.endsWith("_chain") && name !== "tcb_info" && name !== "qe_identity";
    if (isHex && !/^(?:[0-9a-f]{2})+$/.test(value)) throw badEvidence(`${name} is not lower-case hexadecimal`);
    return [name, value] as const;
  });
  return Object.fromEntries(entries) as unknown as Collateral;
}

/** What Intel's signed documents say of themselves; their signatures have been verified by now. */
function tcbOf(
  collateral: Collateral,
  { status, advisory_ids: advisories }: { status: string; advisory_ids: string[] },
  quote: Quote,
): TcbFinding {
  const documents = [collateral.tcb_info, collateral.qe_identity].map((text) => {
    const { issueDate, tcbEvaluationDataNumber } = JSON.parse(text) as Record<string, unknown>;
    const issuedMs = typeof issueDate === "string" ? Date.parse(issueDate) : Number.NaN;
    if (!Number.isSafeInteger(issuedMs) || !Number.isSafeInteger(tcbEvaluationDataNumber))
      throw badEvidence("the collateral does not say when it was issued and of which evaluation it is");
    return { issuedMs, number: Number(tcbEvaluationDataNumber) };
  });
  const td = quote.report.asTd10();
  return {
    status:
      td === null ? status : judgeTdxModule(td, JSON.parse(collateral.tcb_info) as Record<string, unknown>, status),
    advisories: [...advisories].sort(),
    evaluationNumber: Math.min(...documents.map((one) => one.number)),
    // Of these alone: a list of revoked certificates may be months old and still be the newest.
    issuedAtMs: Math.min(...documents.map((one) => one.issuedMs)),
  };
}
