import { isUtf8 } from "node:buffer";
import type { FiscoServer } from "../client/fisco-client.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { readSecretFile } from "./unlock-secret.ts";

/** A TCP port from the command line. */
export function portArgument(text: string | undefined): number {
  const port = text !== undefined && /^[0-9]{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new CommandFailure(exitCodes.usage, `the port ${JSON.stringify(text ?? "")} is not a number from 1 to 65535`);
  return port;
}

/** IP and PORT as the scripts take them. */
export function serverArgument(host: string | undefined, port: string | undefined): FiscoServer {
  if (host === undefined || !/^[A-Za-z0-9._:-]{1,255}$/.test(host))
    throw new CommandFailure(exitCodes.usage, `${JSON.stringify(host ?? "")} is not an IP address or a host name`);
  return { host, port: portArgument(port) };
}

/** A cipherDataKey: hex of whole 16-byte blocks, in the spelling the registry uses. */
export function cipherDataKeyArgument(text: string | undefined): string {
  const hex = (text ?? "").toLowerCase().replace(/^0x/, "");
  if (!/^(?:[0-9a-f]{32}){1,80}$/.test(hex))
    throw new CommandFailure(exitCodes.usage, "a cipherDataKey is hex of whole 16-byte blocks (32, 64, … digits)");
  return hex;
}

/** A passphrase (superKey or dataKey) from argv or, better, from a file of mode 0600. The caller disposes of it. */
export function passphraseArgument(name: string, text: string | undefined, file: string | undefined): SecretBuffer {
  if ((text === undefined) === (file === undefined))
    throw new CommandFailure(exitCodes.usage, `give the ${name} either as an argument or in a file`);
  if (file === undefined) return SecretBuffer.take(Buffer.from(text ?? ""));
  const secret = readSecretFile(file);
  if (secret.expose(isUtf8)) return secret;
  secret[Symbol.dispose]();
  throw new CommandFailure(exitCodes.usage, `the ${name} in ${file} is not UTF-8 text`);
}

/** True for names that stay on this machine, where nobody else reads the plain HTTP. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.[0-9.]+$/.test(host);
}
