/**
 * Checks that imports point only down the map of docs/architecture.md, that nothing is circular between parts, that product
 * code imports nothing from tests, benches or scripts, and that the console's page knows the wire contract only. Exit code 1
 * with one line for each offence.
 */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const root = join(import.meta.dirname, "..");

/** For each part, the parts it may import from. Order is the map's, from the top. */
const below: Readonly<Record<string, readonly string[]>> = {
  cli: [
    "server",
    "custody",
    "devices",
    "node",
    "chain",
    "database",
    "enclave",
    "volume",
    "client",
    "level",
    "files",
    "crypto",
  ],
  server: ["custody", "devices", "client", "crypto"],
  custody: ["devices", "crypto"],
  devices: ["files", "crypto"],
  chain: ["node", "devices", "volume", "client", "level", "files", "crypto"],
  database: ["devices", "volume", "client", "files", "crypto"],
  enclave: ["client", "files", "crypto"],
  node: ["devices", "volume", "client", "level", "files", "crypto"],
  volume: ["client", "level", "files", "crypto"],
  client: ["crypto"],
  level: ["crypto"],
  files: [],
  crypto: [],
};

const offences: string[] = [];
for (const file of globSync("src/**/*.ts", { cwd: root })) {
  const part = file.split("/")[1] ?? "";
  const allowed = below[part];
  if (allowed === undefined) {
    offences.push(`${file}: ${part} is not a part of the map`);
    continue;
  }
  for (const match of readFileSync(join(root, file), "utf8").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
    const target = relative(root, join(root, dirname(file), match[1] ?? ""));
    const [top, targetPart = ""] = target.split("/");
    if (top !== "src") offences.push(`${file}: imports ${target}, which is outside src/`);
    else if (targetPart !== part && !allowed.includes(targetPart))
      offences.push(`${file}: ${part} may not import ${targetPart} (${target})`);
  }
}
// The page runs in browsers: of the product it knows the wire contract, as types only.
for (const file of globSync("console/src/**/*.{ts,tsx}", { cwd: root }))
  for (const match of readFileSync(join(root, file), "utf8").matchAll(
    /(import|export)\s+(type\s)?[^;"]*?from\s+"(\.[^"]+)"/g,
  )) {
    const target = relative(root, join(root, dirname(file), match[3] ?? ""));
    const isContract = target === "src/client/protocol.ts" && match[2] !== undefined;
    if (!target.startsWith("console/src/") && !isContract) offences.push(`${file}: console may not import ${target}`);
  }
for (const offence of offences) console.log(offence);
process.exitCode = offences.length > 0 ? 1 : 0;
