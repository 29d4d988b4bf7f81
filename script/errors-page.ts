/**
 * Makes docs/errors.md from the error tables of every part: `node script/errors-page.ts > docs/errors.md`.
 * A test keeps the page equal to the tables.
 */
import { chainBuildErrors } from "../src/chain/build/errors.ts";
import { ledgerErrors } from "../src/chain/ledger/errors.ts";
import { netErrors } from "../src/chain/net/errors.ts";
import { chainNodeErrors } from "../src/chain/node/errors.ts";
import { chainClientErrors } from "../src/chain/sdk/errors.ts";
import { clientErrors } from "../src/client/errors.ts";
import { cryptoErrors } from "../src/crypto/errors.ts";
import { custodyErrors } from "../src/custody/errors.ts";
import { policyErrors } from "../src/custody/policy/errors.ts";
import { databaseErrors } from "../src/database/errors.ts";
import { awsKmsErrors } from "../src/devices/aws-kms/errors.ts";
import { catalogueErrors } from "../src/devices/catalogue/errors.ts";
import { deviceErrors } from "../src/devices/errors.ts";
import { enclaveErrors } from "../src/enclave/errors.ts";
import { levelErrors } from "../src/level/errors.ts";
import { nodeErrors } from "../src/node/errors.ts";
import { serverErrors } from "../src/server/errors.ts";
import { volumeErrors } from "../src/volume/errors.ts";
import { keyTableErrors } from "../src/volume/sealfs/keys/errors.ts";

type Entry = string | { readonly meaning: string; readonly exit?: number; readonly status?: number };

const parts: readonly (readonly [string, string, Readonly<Record<string, Entry>>])[] = [
  ["custody", "CustodyError", custodyErrors],
  ["custody, policies and grants", "PolicyError", policyErrors],
  ["devices", "DeviceError", deviceErrors],
  ["devices, devices.toml", "CatalogueError", catalogueErrors],
  ["devices, an upstream KMS", "AwsKmsError", awsKmsErrors],
  ["server", "ServerError", serverErrors],
  ["client", "ClientError", clientErrors],
  ["node", "NodeError", nodeErrors],
  ["chain, building one", "ChainBuildError", chainBuildErrors],
  ["chain, ledger and consensus", "LedgerError", ledgerErrors],
  ["chain, the node's process", "ChainNodeError", chainNodeErrors],
  ["chain, network", "NetError", netErrors],
  ["chain, client", "ChainClientError", chainClientErrors],
  ["database", "DatabaseError", databaseErrors],
  ["volume", "VolumeError", volumeErrors],
  ["volume, keys of a sealed file system", "KeyTableError", keyTableErrors],
  ["enclave", "EnclaveError", enclaveErrors],
  ["level", "LevelError", levelErrors],
  ["crypto", "CryptoError", cryptoErrors],
];

/** The page's text. */
export function errorsPage(): string {
  const sections = parts.map(([part, className, table]) => {
    const rows = Object.entries(table).map(([code, entry]) => {
      const { meaning, exit, status } = typeof entry === "string" ? { meaning: entry } : entry;
      return `| \`${code}\` | ${exit ?? ""} | ${status ?? ""} | ${meaning} |`;
    });
    return [
      `## ${part} (\`${className}\`)`,
      "",
      "| code | exit | HTTP | meaning |",
      "| --- | --- | --- | --- |",
      ...rows,
      "",
    ].join("\n");
  });
  return [
    "# Errors",
    "",
    "Each part has one class of errors with a closed set of codes. Codes are API and stay; messages are for people and may change.",
    "`exit` is the exit code of the command line (1 where it is empty), `HTTP` the status on the native door.",
    "",
    "Exit codes: 0 done, 1 other failure, 2 usage, 3 refused, 4 key manager unreachable, 5 integrity failure.",
    "",
    ...sections,
  ].join("\n");
}

if (import.meta.main) process.stdout.write(errorsPage());
