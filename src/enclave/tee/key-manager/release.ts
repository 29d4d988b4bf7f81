import { basename } from "node:path";
import type { KeyManagerClient } from "../../../client/client.ts";
import { ClientError } from "../../../client/errors.ts";
import { connectAs } from "../../../client/identity-folder.ts";
import type { Context } from "../../../crypto/context.ts";
import type { SecretBuffer } from "../../../crypto/secret-buffer.ts";
import { EnclaveError, type EnclaveErrorCode } from "../../errors.ts";
import type { SealedFor } from "../backend.ts";
import type { KeyManagerSettings } from "./settings.ts";

/** Of the contexts of enclaves' keys, in the key manager's audit chain. */
export const enclaveKeyPurpose = "enclave-key";
const keyBytes = 32;

/** A key that only the key manager gives out, and under which names it does. */
export interface WrappedEnclaveKey {
  readonly wrapped: Buffer;
  readonly context: Context;
}

/**
 * Has a key made for an enclave. The names that its wrap is bound to, and that stand in the audit record of each use: the
 * host's node, the enclave, its organisation, channel, chaincode and measurement.
 *
 * @returns The caller disposes of `key`.
 * @throws EnclaveError KEY_MANAGER_REFUSED; KEY_MANAGER_UNREACHABLE; KEY_MANAGER_FAILED; SETTINGS_INVALID
 */
export async function makeEnclaveKey(
  settings: KeyManagerSettings,
  subject: SealedFor,
  measurement: string,
): Promise<WrappedEnclaveKey & { readonly key: SecretBuffer }> {
  return await asking(settings, async (client) => {
    const { principal } = await client.whoami();
    const context: Context = {
      // What a node may do with a key is bound to its own name in the context.
      node: basename(principal),
      purpose: enclaveKeyPurpose,
      enclave: subject.enclaveId,
      organisation: subject.mspId,
      channel: subject.channelId,
      chaincode: subject.chaincodeId,
      measurement,
    };
    const { wrapped } = await client.generateDataKey({ key: settings.masterKey, context, bytes: keyBytes });
    return { wrapped, context, key: await unwrapped(client, { wrapped, context }) };
  });
}

/** Asks for an enclave's key. The caller disposes of it. @throws EnclaveError as {@link makeEnclaveKey} */
export async function releaseEnclaveKey(settings: KeyManagerSettings, key: WrappedEnclaveKey): Promise<SecretBuffer> {
  return await asking(settings, async (client) => await unwrapped(client, key));
}

async function unwrapped(client: KeyManagerClient, key: WrappedEnclaveKey): Promise<SecretBuffer> {
  const { plaintext } = await client.unwrap(key);
  if (plaintext.byteLength === keyBytes) return plaintext;
  plaintext[Symbol.dispose]();
  throw new EnclaveError("KEY_MANAGER_FAILED", "the key manager gave a key of another length than it was asked for");
}

/** Each question with a connection of its own: an enclave asks when it is created and when it starts, and not between. */
async function asking<T>(settings: KeyManagerSettings, ask: (client: KeyManagerClient) => Promise<T>): Promise<T> {
  const { identity, servers } = settings;
  using client = connectAs(identity, servers, (message, { hint, cause }) => {
    return new EnclaveError("SETTINGS_INVALID", hint === undefined ? message : `${message}: ${hint}`, { cause });
  });
  try {
    return await ask(client);
  } catch (error) {
    throw error instanceof ClientError ? asEnclaveError(error) : error;
  }
}

/** Answers that are a "no": also a key that is gone, disabled or of another usage. */
const refusals: ReadonlySet<string> = new Set(["REFUSED", "NOT_FOUND", "CONFLICT", "REQUEST_INVALID"]);

/** One text for every "no": which it was is for the key manager's audit record, and not for who may hold a stolen host. */
function asEnclaveError(error: ClientError): EnclaveError {
  const [code, message] = verdictOf(error);
  return new EnclaveError(code, message, { cause: error });
}

function verdictOf({ code, message, requestId }: ClientError): readonly [EnclaveErrorCode, string] {
  if (code === "UNREACHABLE") return ["KEY_MANAGER_UNREACHABLE", `${message}: without it the enclave does not open`];
  if (!refusals.has(code)) return ["KEY_MANAGER_FAILED", message];
  const request = requestId === undefined ? "" : ` (request ${requestId})`;
  return [
    "KEY_MANAGER_REFUSED",
    `the key manager refused the enclave's key${request}: the audit record of the request says why`,
  ];
}
