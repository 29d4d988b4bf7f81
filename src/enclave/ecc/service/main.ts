import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { ChaincodeInterface, ChaincodeServerOpts } from "fabric-shim";
import { EnclaveError, enclaveErrors, toAbortText } from "../../errors.ts";
import { EndorsingFabricChaincode } from "../fabric-chaincode.ts";

/**
 * Serves the part of a private chaincode that Fabric's peers run. Options as fabric-chaincode-node has them, `--name` for the name under which
 * the channel knows it, and `--registry` for ERCC's where it is not `ercc`.
 */
const options = {
  "chaincode-address": { type: "string" },
  "chaincode-id": { type: "string" },
  "chaincode-tls-key-file": { type: "string" },
  "chaincode-tls-cert-file": { type: "string" },
  "chaincode-tls-client-cacert-file": { type: "string" },
  name: { type: "string" },
  registry: { type: "string", default: "ercc" },
} as const;

try {
  const { values } = readArguments();
  const { "chaincode-address": address, "chaincode-id": ccid, name, registry } = values;
  if (address === undefined || ccid === undefined || name === undefined)
    throw invalid("--chaincode-address, --chaincode-id and --name are needed");
  const tlsProps = readTls(
    values["chaincode-tls-key-file"],
    values["chaincode-tls-cert-file"],
    values["chaincode-tls-client-cacert-file"],
  );
  if (tlsProps === undefined && !/^(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+$/.test(address))
    throw invalid(
      `${address} is reached from other machines, and TLS with client certificates is not set`,
      "name --chaincode-tls-key-file, --chaincode-tls-cert-file and --chaincode-tls-client-cacert-file",
    );
  const { Shim } = (await import("fabric-shim")).default;
  const serverOptions = { ccid, address, ...(tlsProps === undefined ? {} : { tlsProps }) } as ChaincodeServerOpts;
  // The shim's types say more of its stub than the chaincode takes, and less of a proposal.
  const chaincode = new EndorsingFabricChaincode(name, registry) as unknown as ChaincodeInterface;
  await Shim.server(chaincode, serverOptions).start();
} catch (error) {
  const text = error instanceof EnclaveError ? toAbortText(error) : String(error);
  console.error(`ecc-service: error: ${text.replace("\nhint: ", "\necc-service: hint: ")}`);
  process.exit(error instanceof EnclaveError ? enclaveErrors[error.code].exit : 2);
}

function readArguments() {
  try {
    return parseArgs({ options });
  } catch (error) {
    throw invalid(
      error instanceof Error ? error.message : String(error),
      `its options: ${Object.keys(options)
        .map((name) => `--${name}`)
        .join(", ")}`,
    );
  }
}

/** All three files or none. */
function readTls(key: string | undefined, cert: string | undefined, clientCACerts: string | undefined) {
  if (key === undefined && cert === undefined && clientCACerts === undefined) return undefined;
  if (key === undefined || cert === undefined || clientCACerts === undefined)
    throw invalid("TLS takes a key, a certificate and the authority of the peers' certificates");
  return { key: readFileSync(key), cert: readFileSync(cert), clientCACerts: readFileSync(clientCACerts) };
}

function invalid(message: string, hint?: string): EnclaveError {
  return new EnclaveError("SETTINGS_INVALID", message, { hint });
}
