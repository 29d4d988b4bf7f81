import type { Server as HttpsServer } from "node:https";
import { type Authority, type ServerCertificate, serverCertificateDays } from "./authority.ts";

const renewalCheckMs = 60 * 60 * 1000;

export interface CertificateKeeper {
  readonly authority: Authority;
  /** Host names and addresses of the server. */
  readonly names: readonly string[];
  /** Unix milliseconds. */
  readonly clock: () => number;
  /** Told of a renewal that failed; it is tried again an hour later. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Makes a server with a certificate of this key manager's own authority, and puts a new one into force when half of its time
 * is over. `make` and `replace` are lent the certificate: its private key is wiped after the call.
 *
 * @returns The server, and what ends the renewals.
 */
export async function withKeptCertificate<S extends HttpsServer>(
  { authority, names, clock, onFailure }: CertificateKeeper,
  make: (certificate: ServerCertificate) => S,
  replace: (server: S, next: ServerCertificate) => void,
): Promise<{ readonly server: S; readonly stop: () => void }> {
  const halfLifeMs = (serverCertificateDays * 24 * 60 * 60 * 1000) / 2;
  let notAfterMs = 0;
  const issue = async <T>(use: (certificate: ServerCertificate) => T): Promise<T> => {
    const certificate = await authority.issueServerCertificate(names);
    using _ = certificate.privateKeyPem;
    const used = use(certificate);
    notAfterMs = certificate.notAfterMs;
    return used;
  };
  const server = await issue(make);
  const renewal = setInterval(() => {
    if (notAfterMs - clock() > halfLifeMs) return;
    issue((next) => replace(server, next)).catch(onFailure);
  }, renewalCheckMs).unref();
  return { server, stop: () => clearInterval(renewal) };
}
