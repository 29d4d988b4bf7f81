import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { LeaseStatement } from "../client/protocol.ts";
import type { Context } from "../crypto/context.ts";
import type { SecretBuffer } from "../crypto/secret-buffer.ts";
import { NodeError } from "./errors.ts";
import { readSecretFile } from "./file-steps.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

/** What a node asks of its key manager; `KeyManagerClient` offers it. */
export interface KeyManager {
  generateDataKey(input: {
    key: string;
    context: Context;
    bytes?: number;
  }): Promise<{ readonly keyId: string; readonly keyVersion: number; readonly wrapped: Buffer }>;
  /** The caller disposes of `plaintext`. */
  unwrap(input: {
    wrapped: Uint8Array;
    context: Context;
    key?: string;
    lease?: LeaseStatement;
  }): Promise<{ readonly keyId: string; readonly keyVersion: number; readonly plaintext: SecretBuffer }>;
  /** Says that the node of this launch is stopped; a KMS has no such operation. */
  releaseLease?(launch: string): Promise<void>;
  /** Counters of the node's own; a KMS has none. */
  advanceCounter?(input: { name: string; previous: CounterState | null; next: CounterState }): Promise<CounterState>;
  readCounter?(name: string): Promise<CounterState | null>;
  close(): void;
}

/** Where a counter stands, and the digest of what it stands for, hex. */
export interface CounterState {
  readonly value: number;
  readonly stamp: string;
}

/** Files of an identity folder. */
export const identityFiles = { privateKey: "key.pem", certificate: "certificate.pem", ca: "ca.pem" } as const;
const maxPemBytes = 64 * 1024;

/**
 * A client with the node's own identity; for a node with a `[kms]` a client of that KMS, whose code is loaded only then.
 *
 * @throws {NodeError} `IDENTITY_MISSING` when the node is not enrolled, or its tmpfs is gone.
 */
export async function connectKeyManager(loaded: LoadedManifest): Promise<KeyManager> {
  const { keyManager, kms, identity } = loaded.manifest;
  if (kms !== undefined) {
    const { connectKms } = await import("./kms/kms-key-manager.ts");
    return connectKms(loaded, kms);
  }
  const folder = loaded.at(identity.folder);
  const keyFile = join(folder, identityFiles.privateKey);
  if (statSync(keyFile, { throwIfNoEntry: false }) === undefined)
    throw new NodeError("IDENTITY_MISSING", `there is no client key at ${keyFile}`, {
      hint:
        identity.kind === "tmpfs"
          ? "this identity is kept in memory only: enroll the node again after each boot"
          : "enroll the node first: strongroom node enroll",
    });
  const { KeyManagerClient } = await import("../client/client.ts");
  const { secret, stats } = readSecretFile(keyFile, maxPemBytes);
  using privateKeyPem = secret;
  if ((stats.mode & 0o077) !== 0)
    throw new NodeError("FILE_UNSAFE", `others may read the client key ${keyFile}`, {
      hint: "revoke the node and enroll it again: the key may be known",
    });
  return KeyManagerClient.overTls({
    servers: keyManager.servers,
    caPem: readPem(keyManager.ca === undefined ? join(folder, identityFiles.ca) : loaded.at(keyManager.ca)),
    identity: { certificatePem: readPem(join(folder, identityFiles.certificate)), privateKeyPem },
  });
}

/** What an error of a key manager's client means for a node that wants its key. */
export function verdictOf(error: unknown): "refused" | "unreachable" | "other" {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  // A key that is gone, scheduled for deletion or of another usage is a "no" as well: an answer, and not the key.
  if (code === "REFUSED" || code === "CONFLICT" || code === "NOT_FOUND" || code === "REQUEST_INVALID") return "refused";
  if (error instanceof Error && error.name === "AwsKmsError" && "exitCode" in error)
    return error.exitCode === 3 ? "refused" : error.exitCode === 4 ? "unreachable" : "other";
  return code === "UNREACHABLE" ? "unreachable" : "other";
}

/** Ways a key manager cuts a caller off. Which one it was is for its audit record, not for who may hold a stolen node. */
const cutOff: ReadonlySet<unknown> = new Set([
  "ACCESS_DENIED",
  "KEY_DISABLED",
  "KEY_NOT_FOUND",
  "KEY_STATE_INVALID",
  "UNAUTHENTICATED",
]);

/**
 * Gives every "no" of the key manager the one exit code for it; other errors pass as they are. One text for every way of
 * cutting a node off: the request's id is all that leads to the reason.
 */
export function asRefusal(error: unknown): unknown {
  if (verdictOf(error) !== "refused") return error;
  if (error instanceof Error && "serverCode" in error && cutOff.has(error.serverCode)) {
    const request = "requestId" in error && error.requestId !== undefined ? ` (request ${error.requestId})` : "";
    return new NodeError("REFUSED", `the key manager refused access${request}`, {
      cause: error,
      hint: "the key manager's audit record of this request says why",
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  return new NodeError("REFUSED", `the key manager refused: ${reason}`, { cause: error });
}

function readPem(file: string): string {
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) throw new NodeError("IDENTITY_MISSING", `${file} is missing; enroll the node again`);
  if (size > maxPemBytes) throw new NodeError("FILE_UNUSABLE", `${file} has ${size} bytes, the most is ${maxPemBytes}`);
  return readFileSync(file, "utf8");
}
