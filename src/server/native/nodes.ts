import { decodeBase64Url, encodeEnrolmentToken } from "../../client/enrolment-token.ts";
import { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { CustodyError } from "../../custody/errors.ts";
import { type CertificateRequest, readCertificateRequest } from "../certificate-request.ts";
import { bytesOf } from "./data.ts";
import { type Endpoint, endpoint, endpointForSecret, openEndpoint } from "./endpoint.ts";
import { DoorError, InputError } from "./failures.ts";

/** Enrolments that are worked on at the same time; strangers may ask for them, so there is a limit. */
const maxEnrolments = 4;
let enrolments = 0;

/** Nodes: tokens, enrolment, renewal, revocation. */
export const nodeEndpoints: readonly Endpoint[] = [
  endpointForSecret("nodes.createToken", async ({ custody, authority, caller }, input) => {
    const { token, expiresAt } = await custody.nodes.createToken(caller, input);
    using secret = token;
    return {
      secret: encodeEnrolmentToken({ name: input.name, caFingerprint: authority.fingerprint, secret }),
      expiresAt,
    };
  }),
  endpoint("nodes.revoke", ({ custody, caller }, { name }) => custody.nodes.revoke(caller, name)),
  endpoint("nodes.destroyed", ({ custody, caller }, input) => custody.nodes.destroyed(caller, input)),
  endpoint("nodes.list", async ({ custody, caller }) => ({ nodes: await custody.nodes.list(caller) })),

  endpoint("nodes.leases", ({ custody, caller }) => custody.leases.list(caller)),
  endpoint("releaseLease", ({ custody, caller }, { launch }) => custody.leases.release(caller, launch)),

  openEndpoint("enroll", async ({ custody, authority, peer }, { name, token, csr }) => {
    if (enrolments >= maxEnrolments) throw new DoorError("BUSY");
    enrolments += 1;
    try {
      // The one secret that arrives as a JSON string, which can't be wiped: it dies with its first use.
      const digits = Buffer.from(token, "latin1");
      const bytes = decodeBase64Url(digits);
      digits.fill(0);
      if (bytes === undefined) throw new CustodyError("TOKEN_REFUSED");
      using secret = SecretBuffer.take(bytes);
      const { spki, spkiSha256 } = requestFor(name, csr);
      const { notAfter } = authority.clientValidity();
      const { arn } = await custody.nodes.redeemToken(peer, { name, token: secret, spkiSha256, notAfter });
      return { ...(await authority.issueClientCertificate(name, spki, notAfter)), principal: arn };
    } finally {
      enrolments -= 1;
    }
  }),
  endpoint("renew", async ({ custody, authority, caller, principal }, { csr }) => {
    if (principal === undefined) throw new InputError("", "a certificate is renewed over a connection that shows it");
    const { spki, spkiSha256 } = requestFor(principal.name, csr);
    const { notAfter } = authority.clientValidity();
    await custody.nodes.renew(caller, principal.name, spkiSha256, notAfter);
    return authority.issueClientCertificate(principal.name, spki, notAfter);
  }),
];

function requestFor(name: string, csr: string): CertificateRequest {
  const request = readCertificateRequest(bytesOf(csr, "csr"));
  if (request === undefined)
    throw new InputError(
      "csr",
      "not a PKCS#10 request in DER, signed by its own P-256 or Ed25519 key, without attributes",
    );
  if (request.name !== name) throw new InputError("csr", "the request's subject is not CN= the node's name");
  return request;
}
