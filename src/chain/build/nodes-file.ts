import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { readAddress } from "../net/address.ts";
import { ChainBuildError } from "./errors.ts";

/** Where a node of the chain is reached. */
export interface NodeEndpoint {
  readonly host: string;
  readonly port: number;
}

const maxNodesFileBytes = 64 * 1024;

/**
 * Reads nodes.json: `{"nodes":["127.0.0.1:30300", …]}`, as FISCO BCOS writes it.
 *
 * @throws {ChainBuildError} `CONFIG_INVALID`, `FILE_UNUSABLE`.
 */
export function readNodesFile(file: string): NodeEndpoint[] {
  const name = basename(file);
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (cause) {
    throw new ChainBuildError("FILE_UNUSABLE", `${file} cannot be read`, { cause });
  }
  if (text.length > maxNodesFileBytes) throw invalid(`${name} has more than ${maxNodesFileBytes} bytes`);
  let content: unknown;
  try {
    content = JSON.parse(text.toString("utf8"));
  } catch {
    throw invalid(`${name} is not JSON`);
  }
  if (
    typeof content !== "object" ||
    content === null ||
    Object.keys(content).join() !== "nodes" ||
    !("nodes" in content)
  )
    throw invalid(`${name} is not {"nodes":[…]}`);
  const { nodes } = content;
  if (!Array.isArray(nodes) || nodes.length > 1000 || !nodes.every((node) => typeof node === "string"))
    throw invalid(`${name}: nodes is not a list of at most 1000 texts`);
  return nodes.map((node: string) => {
    try {
      return readAddress(node);
    } catch {
      throw invalid(`${name}: a node is not HOST:PORT`);
    }
  });
}

function invalid(message: string): ChainBuildError {
  return new ChainBuildError("CONFIG_INVALID", message);
}
