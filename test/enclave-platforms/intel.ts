import "reflect-metadata";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { der, derTags, derUnsigned } from "../../src/crypto/der.ts";
import { issueCertificate, issueRevocationList, sha256, type TestCertificate } from "./certificates.ts";

/** Intel's side of DCAP, under a root of the tests' own: authorities, collateral, and a platform that quotes. */
export interface IntelStandIn {
  readonly root: TestCertificate;
  readonly ca: TestCertificate;
  readonly pck: TestCertificate;
  readonly tcbSigner: TestCertificate;
}

const fmspc = "00906ed50000";
const cpuSvn = Buffer.alloc(16, 4);
const qeSigner = "8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff";
const tdQeSigner = "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5";

export async function createIntel(): Promise<IntelStandIn> {
  const root = await issueCertificate("Intel SGX Root CA", { authorities: 1 });
  const ca = await issueCertificate("Intel SGX PCK Platform CA", { issuer: root, authorities: 0 });
  const extension = new x509.Extension("1.2.840.113741.1.13.1", false, sgxExtension());
  const pck = await issueCertificate("Intel SGX PCK Certificate", { issuer: ca, extensions: [extension] });
  const tcbSigner = await issueCertificate("Intel SGX TCB Signing", { issuer: root });
  return { root, ca, pck, tcbSigner };
}

export interface CollateralOptions {
  readonly tee?: "sgx" | "tdx";
  readonly issued?: Date;
  readonly nextUpdate?: Date;
  readonly evaluationNumber?: number;
  readonly status?: string;
  readonly moduleStatus?: string;
  readonly revokedByRoot?: readonly string[];
  readonly revokedByCa?: readonly string[];
  readonly listSigner?: KeyObject;
  readonly listsTo?: Date;
  readonly signer?: TestCertificate;
}

/** As Intel's Provisioning Certification Service answers, by the names of the evidence's fields. */
export async function collateralOf(
  intel: IntelStandIn,
  options: CollateralOptions = {},
): Promise<Record<string, string>> {
  const { root, ca, tcbSigner } = intel;
  const signer = options.signer ?? tcbSigner;
  const isTdx = options.tee === "tdx";
  const general = {
    version: 3,
    issueDate: (options.issued ?? new Date("2026-05-01T00:00:00Z")).toISOString(),
    nextUpdate: (options.nextUpdate ?? new Date("2026-05-31T00:00:00Z")).toISOString(),
    tcbEvaluationDataNumber: options.evaluationNumber ?? 18,
  };
  const module = { mrsigner: "00".repeat(48), attributes: "00".repeat(8), attributesMask: "FF".repeat(8) };
  const svns = (count: number, svn: number) => Array.from({ length: count }, () => ({ svn }));
  const tcbInfo = JSON.stringify({
    id: isTdx ? "TDX" : "SGX",
    ...general,
    fmspc,
    pceId: "0000",
    tcbType: 0,
    ...(isTdx
      ? {
          tdxModule: module,
          tdxModuleIdentities: [
            {
              id: "TDX_01",
              ...module,
              tcbLevels: [{ tcb: { isvsvn: 4 }, tcbStatus: options.moduleStatus ?? "UpToDate" }],
            },
          ],
        }
      : {}),
    tcbLevels: [
      {
        tcb: {
          sgxtcbcomponents: svns(16, 3),
          pcesvn: 10,
          ...(isTdx ? { tdxtcbcomponents: svns(16, 0) } : {}),
        },
        tcbDate: "2026-01-01T00:00:00Z",
        tcbStatus: options.status ?? "UpToDate",
        advisoryIDs: ["INTEL-SA-00001"],
      },
    ],
  });
  const qeIdentity = JSON.stringify({
    id: isTdx ? "TD_QE" : "QE",
    ...general,
    version: 2,
    miscselect: "00000000",
    miscselectMask: "FFFFFFFF",
    attributes: "11000000000000000000000000000000",
    attributesMask: "FBFFFFFFFFFFFFFF0000000000000000",
    mrsigner: (isTdx ? tdQeSigner : qeSigner).toUpperCase(),
    isvprodid: isTdx ? 2 : 1,
    tcbLevels: [{ tcb: { isvsvn: 6 }, tcbDate: "2026-01-01T00:00:00Z", tcbStatus: "UpToDate" }],
  });
  const chain = `${signer.pem}${root.pem}`;
  const lists = {
    ...(options.listsTo && { to: options.listsTo }),
    ...(options.listSigner && { signer: options.listSigner }),
  };
  return {
    pck_crl_issuer_chain: `${ca.pem}${root.pem}`,
    root_ca_crl: (await issueRevocationList(root, { ...lists, revoked: options.revokedByRoot ?? [] })).toString("hex"),
    pck_crl: (await issueRevocationList(ca, { ...lists, revoked: options.revokedByCa ?? [] })).toString("hex"),
    tcb_info_issuer_chain: chain,
    tcb_info: tcbInfo,
    tcb_info_signature: rawSignature(Buffer.from(tcbInfo), signer.key).toString("hex"),
    qe_identity_issuer_chain: chain,
    qe_identity: qeIdentity,
    qe_identity_signature: rawSignature(Buffer.from(qeIdentity), signer.key).toString("hex"),
  };
}

export interface QuoteOptions {
  /** 32 bytes, for SGX. */
  readonly mrEnclave?: Buffer;
  readonly debug?: boolean;
  readonly chain?: readonly TestCertificate[];
  /** Of the TDX module: its security version and its version. */
  readonly moduleVersion?: readonly [number, number];
}

/** A quote of SGX in version 3. */
export function sgxQuote(intel: IntelStandIn, reportData: Buffer, options: QuoteOptions = {}): Buffer {
  const report = enclaveReport(options.mrEnclave ?? Buffer.alloc(32, 0xe1), Buffer.alloc(32, 0x51), reportData, 1, 1);
  if (options.debug) report[48] = 0x13;
  const signed = Buffer.concat([quoteHeader(3, 0), report]);
  const { head, tail } = authData(intel, signed, qeSigner, 1, options.chain);
  return withLength(signed, Buffer.concat([head, tail]));
}

/** A quote of TDX in version 4. Each measured field is filled with a byte of its own. */
export function tdxQuote(intel: IntelStandIn, reportData: Buffer, options: QuoteOptions = {}): Buffer {
  const report = Buffer.alloc(584);
  const [svn, version] = options.moduleVersion ?? [5, 1];
  report.set([svn, version], 0);
  // TD attributes: SEPT_VE_DISABLE alone; with debug also bit 0.
  report.set([options.debug ? 1 : 0, 0, 0, 0x10], 120);
  for (let field = 0; field < 8; field++) report.fill(0xa0 + field, 136 + 48 * field, 184 + 48 * field);
  report.set(reportData, 520);
  const signed = Buffer.concat([quoteHeader(4, 0x81), report]);
  const { head, tail } = authData(intel, signed, tdQeSigner, 2, options.chain);
  return withLength(signed, Buffer.concat([head, part(6, tail)]));
}

function quoteHeader(version: number, tee: number): Buffer {
  const header = Buffer.alloc(48);
  header.writeUInt16LE(version, 0);
  header.writeUInt16LE(2, 2);
  header.writeUInt32LE(tee, 4);
  Buffer.from("939a7233f79c4ca9940a0db3957f0607", "hex").copy(header, 12);
  return header;
}

function authData(
  intel: IntelStandIn,
  signed: Buffer,
  signer: string,
  product: number,
  chain?: readonly TestCertificate[],
) {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = publicKey.export({ type: "spki", format: "der" }).subarray(-64);
  const qeAuthData = Buffer.alloc(32, 7);
  const binding = Buffer.concat([sha256(Buffer.concat([key, qeAuthData])), Buffer.alloc(32)]);
  const report = enclaveReport(Buffer.alloc(32, 9), Buffer.from(signer, "hex"), binding, product, 8);
  const pem = (chain ?? [intel.pck, intel.ca, intel.root]).map((one) => one.pem).join("");
  const head = Buffer.concat([rawSignature(signed, privateKey), key]);
  const length = Buffer.alloc(2);
  length.writeUInt16LE(qeAuthData.length);
  const chainPart = part(5, Buffer.from(`${pem}\0`, "latin1"));
  return { head, tail: Buffer.concat([report, rawSignature(report, intel.pck.key), length, qeAuthData, chainPart]) };
}

function enclaveReport(mrEnclave: Buffer, mrSigner: Buffer, reportData: Buffer, product: number, svn: number): Buffer {
  const report = Buffer.alloc(384);
  report.set(cpuSvn, 0);
  report[48] = 0x11;
  report.set(mrEnclave, 64);
  report.set(mrSigner, 128);
  report.writeUInt16LE(product, 256);
  report.writeUInt16LE(svn, 258);
  report.set(reportData, 320);
  return report;
}

function part(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16LE(type, 0);
  head.writeUInt32LE(body.length, 2);
  return Buffer.concat([head, body]);
}

function withLength(signed: Buffer, auth: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(auth.length);
  return Buffer.concat([signed, length, auth]);
}

function rawSignature(bytes: Buffer, key: KeyObject): Buffer {
  return sign("sha256", bytes, { key, dsaEncoding: "ieee-p1363" });
}

/** FMSPC and TCB of a PCK certificate, as in Intel's profile: 1.2.840.113741.1.13.1 and what is below it. */
function sgxExtension(): Buffer {
  const base = "2a864886f84d010d01";
  const oid = (...tail: number[]) =>
    der(derTags.objectIdentifier, Buffer.concat([Buffer.from(base, "hex"), Buffer.from(tail)]));
  const pair = (tail: number[], value: Buffer) => der(derTags.sequence, oid(...tail), value);
  const octets = (bytes: Buffer) => der(derTags.octetString, bytes);
  const components = Array.from({ length: 16 }, (_, index) => pair([2, index + 1], derUnsigned(Buffer.of(4))));
  const tcb = [...components, pair([2, 17], derUnsigned(Buffer.of(11))), pair([2, 18], octets(cpuSvn))];
  return der(
    derTags.sequence,
    pair([1], octets(Buffer.alloc(16, 1))),
    pair([2], der(derTags.sequence, ...tcb)),
    pair([3], octets(Buffer.alloc(2))),
    pair([4], octets(Buffer.from(fmspc, "hex"))),
  );
}
