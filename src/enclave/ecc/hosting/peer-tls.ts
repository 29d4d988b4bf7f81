import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunMetadata } from "../../ercc/external-builder/private-chaincode.ts";
import { EnclaveError } from "../../errors.ts";

const prefix = "peer-tls-";

/** Where the runtime finds them, until they are deleted. */
export interface PeerTls extends Disposable {
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * The runtime reads them when it starts, the certificate and the key as base64 of their PEM; they stay on disk for no longer. What
 * a run that was killed before that has left is deleted first: a folder has one run at a time.
 *
 * @throws EnclaveError SETTINGS_INVALID: no TLS, and a peer elsewhere
 */
export function writePeerTls(folder: string, peer: RunMetadata): PeerTls {
  for (const name of readdirSync(folder))
    if (name.startsWith(prefix)) rmSync(join(folder, name), { recursive: true, force: true });
  const { root_cert: root, client_cert: certificate, client_key: key } = peer;
  if (root === "" && /^(localhost|127(\.\d{1,3}){3}|\[::1\]):/.test(peer.peer_address))
    return { environment: {}, [Symbol.dispose]: () => undefined };
  if (root === "" || certificate === "" || key === "")
    throw new EnclaveError("SETTINGS_INVALID", "the peer gives no TLS roots, certificate and key to reach it by");
  const files = mkdtempSync(join(folder, prefix));
  const write = (name: string, text: string) => {
    writeFileSync(join(files, name), text, { mode: 0o600 });
    return join(files, name);
  };
  return {
    environment: {
      CORE_PEER_TLS_ENABLED: "true",
      CORE_PEER_TLS_ROOTCERT_FILE: write("root.pem", root),
      CORE_TLS_CLIENT_CERT_PATH: write("certificate", Buffer.from(certificate).toString("base64")),
      CORE_TLS_CLIENT_KEY_PATH: write("key", Buffer.from(key).toString("base64")),
    },
    [Symbol.dispose]: () => rmSync(files, { recursive: true, force: true }),
  };
}
