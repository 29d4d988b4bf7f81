import { createHash, X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { makeCertificateRequest, makeClientKeyPair } from "./certificate-request.ts";
import { decodeEnrolmentToken, encodeBase64Url } from "./enrolment-token.ts";
import { ClientError } from "./errors.ts";
import { Exchange, type ExchangeOptions, parseJson } from "./exchange.ts";
import type { Answer } from "./protocol.ts";
import { serverUrl, tlsEndpoints } from "./transport.ts";

/** What a node has after enrolment. */
export interface Enrolment {
  readonly name: string;
  /** ARN. */
  readonly principal: string;
  /** PKCS#8 PEM. The caller disposes of it. */
  readonly privateKeyPem: SecretBuffer;
  readonly certificatePem: string;
  /** The certificate that every server of this key manager chains to. */
  readonly caPem: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

export interface EnrolOptions extends ExchangeOptions {
  /** `https://HOST:PORT`; the first that proves to be the pinned key manager is used. */
  readonly servers: readonly string[];
  /** The token's text; stays the caller's to dispose of. */
  readonly token: SecretBuffer;
  /** When given, the token must be for this name. */
  readonly name?: string;
}

/**
 * Enrols this host under the name in the token: makes a key pair here, checks that the server chains to the issuer whose
 * fingerprint the token holds, before the token's secret is sent, and checks the certificate that comes back.
 *
 * @throws {ClientError} `INTEGRITY` when the server is not the one that the token pins or its certificate is not ours;
 *   `REFUSED` when the token is unknown, used, expired or for another name; `UNREACHABLE`; `REQUEST_INVALID`.
 */
export async function enroll({ servers, token, name: expected, ...options }: EnrolOptions): Promise<Enrolment> {
  const { name, caFingerprint, secret } = decodeEnrolmentToken(token);
  using _secret = secret;
  if (expected !== undefined && expected !== name)
    throw new ClientError("REQUEST_INVALID", `the token is for ${name}, not for ${expected}`);
  const { server, issuer } = await findPinned(servers, caFingerprint, options.attemptMs ?? 4000);
  const keyPair = makeClientKeyPair();
  const exchange = new Exchange(tlsEndpoints([server], issuer.toString()), options);
  try {
    const body = requestBody(name, makeCertificateRequest(name, keyPair), secret);
    const raw = await exchange.ask("enroll", body).finally(() => body.fill(0));
    const answer = parseJson(raw) as Answer<"enroll">;
    const serverIssuer = checkIssued(answer, name, keyPair.spki, caFingerprint);
    return {
      name,
      principal: answer.principal,
      privateKeyPem: keyPair.privateKeyPem,
      certificatePem: answer.certificate,
      // Not the one that the first connection showed: its fingerprint proves the key in it, and nothing else of it.
      caPem: serverIssuer.toString(),
      notAfter: answer.notAfter,
    };
  } catch (error) {
    keyPair.privateKeyPem[Symbol.dispose]();
    throw error;
  } finally {
    exchange.close();
  }
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo. */
export function spkiFingerprint(certificate: X509Certificate): Buffer {
  return createHash("sha256")
    .update(certificate.publicKey.export({ type: "spki", format: "der" }))
    .digest();
}

/** The JSON body, put together from bytes: the token's secret is never a string here. */
function requestBody(name: string, request: Buffer, secret: SecretBuffer): Buffer {
  const digits = secret.expose(encodeBase64Url);
  const open = Buffer.from(`{"name":${JSON.stringify(name)},"csr":"${request.toString("base64")}","token":"`);
  const body = Buffer.concat([open, digits, Buffer.from('"}')]);
  digits.fill(0);
  return body;
}

/** The first server that shows a certificate of the pinned issuer. OpenSSL then verifies the chain on the real connection. */
async function findPinned(
  servers: readonly string[],
  fingerprint: Buffer,
  timeoutMs: number,
): Promise<{ server: string; issuer: X509Certificate }> {
  let failure = new ClientError("UNREACHABLE", "no server was named");
  for (const server of servers) {
    try {
      return { server, issuer: await shownIssuer(server, fingerprint, timeoutMs) };
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      if (failure.code !== "INTEGRITY") failure = error;
    }
  }
  throw failure;
}

function shownIssuer(server: string, fingerprint: Buffer, timeoutMs: number): Promise<X509Certificate> {
  const url = serverUrl(server);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    // Nothing is sent over this connection: it only learns the issuer's certificate, which the fingerprint proves.
    const socket = connect({
      host,
      port: url.port === "" ? 443 : Number(url.port),
      minVersion: "TLSv1.3",
      rejectUnauthorized: false,
      timeout: timeoutMs,
    });
    const fail = (error: ClientError) => {
      socket.destroy();
      reject(error);
    };
    socket.once("timeout", () => fail(new ClientError("UNREACHABLE", `${url.origin}: no answer in ${timeoutMs} ms`)));
    socket.once("error", (cause) => fail(new ClientError("UNREACHABLE", `${url.origin}: ${cause.message}`, {}, cause)));
    socket.once("secureConnect", () => {
      const issuer = shownChain(socket).find((certificate) => spkiFingerprint(certificate).equals(fingerprint));
      socket.destroy();
      if (issuer !== undefined) resolve(issuer);
      else reject(new ClientError("INTEGRITY", `${url.origin} is not the key manager that the token was made by`));
    });
  });
}

const maxChain = 4;

/** The certificates above the server's own, as the server sent them; not verified. */
function shownChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let shown = socket.getPeerCertificate(true);
  while (chain.length < maxChain && shown.issuerCertificate !== undefined && shown.issuerCertificate !== shown) {
    shown = shown.issuerCertificate;
    chain.push(new X509Certificate(shown.raw));
  }
  return chain;
}

const clientAuth = "1.3.6.1.5.5.7.3.2";

/**
 * The certificate is for our key, our name and client use, in force, and the servers' issuer is the pinned one, signed by
 * itself: that certificate is returned.
 */
function checkIssued(answer: Answer<"enroll">, name: string, spki: Buffer, fingerprint: Buffer): X509Certificate {
  try {
    const certificate = new X509Certificate(answer.certificate);
    const issuer = new X509Certificate(answer.clientIssuer);
    const servers = new X509Certificate(answer.serverIssuer);
    const nowMs = Date.now();
    if (
      certificate.publicKey.export({ type: "spki", format: "der" }).equals(spki) &&
      certificate.subject === `CN=${name}` &&
      certificate.checkIssued(issuer) &&
      certificate.verify(issuer.publicKey) &&
      issuer.ca &&
      certificate.keyUsage?.includes(clientAuth) === true &&
      spkiFingerprint(servers).equals(fingerprint) &&
      servers.verify(servers.publicKey)
    ) {
      if (certificate.validFromDate.getTime() <= nowMs && nowMs < certificate.validToDate.getTime()) return servers;
      throw new ClientError(
        "INTEGRITY",
        "by this machine's clock the new certificate is not in force: check both clocks",
      );
    }
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError("BAD_ANSWER", "the certificate in the answer can't be read", {}, cause);
  }
  throw new ClientError("INTEGRITY", "the certificate in the answer is not one for this key and name");
}
