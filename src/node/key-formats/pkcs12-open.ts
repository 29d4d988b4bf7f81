import { duplexPair } from "node:stream";
import { connect, createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import { NodeError } from "../errors.ts";
import { spkiFingerprint } from "./ec-identity.ts";
import type { PublicIdentity } from "./format.ts";

/**
 * Opens a PKCS#12 file with its password and gives the identity of its certificate. OpenSSL checks the password; a TLS
 * handshake with ourselves, in memory, shows the certificate and proves that the private key is that of the certificate.
 *
 * @throws {NodeError} `PASSWORD_WRONG`; `KEY_FILE_INVALID` for a file under RC2 or without a key and its certificate.
 */
export async function openPkcs12(file: SecretBuffer, password: SecretBuffer): Promise<PublicIdentity> {
  const secureContext = file.expose((pfx) => password.expose((bytes) => load(pfx, bytes)));
  const [serverSide, clientSide] = duplexPair();
  const server = new TLSSocket(serverSide, { isServer: true, secureContext });
  const client = connect({ socket: clientSide, rejectUnauthorized: false, checkServerIdentity: () => undefined });
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("secureConnect", resolve);
      client.once("error", reject);
      server.once("error", reject);
    });
    const key = client.getPeerX509Certificate()?.publicKey;
    if (key === undefined) throw new Error("the peer showed no certificate");
    const fingerprint = spkiFingerprint(key.export({ type: "spki", format: "der" }));
    return { algorithm: key.asymmetricKeyType ?? "unknown", fingerprint };
  } catch (cause) {
    throw new NodeError("KEY_FILE_INVALID", "the PKCS#12 file holds no private key with its own certificate", {
      cause,
    });
  } finally {
    for (const side of [client, server]) {
      side.on("error", () => {}); // the other side's end is no news here
      side.destroy();
    }
  }
}

function load(pfx: Buffer, passphrase: Buffer): SecureContext {
  try {
    // Node takes the passphrase as bytes too; only its type declaration knows none but strings, which can't be wiped.
    return createSecureContext({ pfx, passphrase: passphrase as unknown as string });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (/mac verify failure/i.test(message)) throw new NodeError("PASSWORD_WRONG", undefined, { cause });
    if (code === "ERR_CRYPTO_UNSUPPORTED_OPERATION" || /unsupported/i.test(message))
      throw new NodeError("KEY_FILE_INVALID", "the PKCS#12 file is under a cipher that OpenSSL 3 no longer opens", {
        cause,
        hint: "export it again: openssl pkcs12 -legacy -in OLD -nodes | openssl pkcs12 -export -out NEW, in memory (/dev/shm)",
      });
    throw new NodeError("KEY_FILE_INVALID", "the PKCS#12 file cannot be read by OpenSSL", { cause });
  }
}
