import { serverUrl } from "../../../client/transport.ts";
import { EnclaveError } from "../../errors.ts";

/** The key manager without whose word an enclave does not open, as its host tells it. */
export interface KeyManagerSettings {
  /** `https://HOST:PORT`, in order of preference. */
  readonly servers: readonly string[];
  /** Absolute path of the host's identity folder, as `strongroom node enroll --into` makes it. */
  readonly identity: string;
  /** The master key under which enclaves' keys are wrapped: id, `alias/NAME` or ARN. */
  readonly masterKey: string;
}

const maxServers = 16;
const longestText = 512;

/** @throws EnclaveError SETTINGS_INVALID: unknown, missing, or not of its form */
export function readKeyManagerSettings(value: unknown): KeyManagerSettings {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused("they are not an object");
  const { servers, identity, masterKey, ...others } = value as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw refused(`"${unknown}" is not one of them`);
  if (!Array.isArray(servers) || servers.length < 1 || servers.length > maxServers)
    throw refused(`"servers" is a list of 1 to ${maxServers} servers`);
  return {
    servers: servers.map((server: unknown) => {
      const url = readText(server, "servers");
      try {
        return serverUrl(url).origin;
      } catch (error) {
        throw refused((error as TypeError).message);
      }
    }),
    identity: readPath(identity),
    masterKey: readText(masterKey, "masterKey"),
  };
}

function readPath(value: unknown): string {
  const path = readText(value, "identity");
  if (!path.startsWith("/")) throw refused('"identity" is not an absolute path');
  return path;
}

function readText(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.length > longestText || /\p{Cc}/u.test(value))
    throw refused(`"${name}" is not a text of 1 to ${longestText} characters`);
  return value;
}

function refused(why: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", `the settings of the enclave's key manager: ${why}`);
}
