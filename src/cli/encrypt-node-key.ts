import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import { callFisco, FiscoClientError, type FiscoServer } from "../client/fisco-client.ts";
import type { FiscoMode } from "../client/fisco-json-rpc.ts";
import { CryptoError } from "../crypto/errors.ts";
import { legacyDecryptKeyFile, legacyEncryptKeyFile } from "../crypto/legacy-fisco.ts";
import { SecretBuffer } from "../crypto/secret-buffer.ts";
import { runDropIn, type Tell } from "./drop-in.ts";
import { CommandFailure, exitCodes } from "./failure.ts";
import { cipherDataKeyArgument, isLoopback, serverArgument } from "./fisco-arguments.ts";
import { stateFolder } from "./key-manager-data.ts";
import { backUp, type PlainKeyFile, readPlainKeyFile, replacePlainFile } from "./node-key-file.ts";

const usage = `Usage: encrypt_node_key.sh IP PORT FILE CIPHERDATAKEY [options]
       encrypt_node_key.sh IP PORT CIPHERDATAKEY --sm-node CONF_DIR [options]

Encrypts a node's private key file under the data key of CIPHERDATAKEY, which the key manager at IP:PORT opens.
The private key itself never leaves this machine.

  --sm-node CONF_DIR        also encrypt every private key of an SM node: gmnode.key and origin_cert/node.key
                            (FISCO BCOS 2), or sm_ssl.key, sm_enssl.key and node.pem (FISCO BCOS 3)
  --backup-dir DIR          where the plain copy is kept (default ~/.local/state/strongroom/node-key-backups)
  --mode standard|sm        the chain's cipher (default: asked of the key manager)
  -h, --help                this text

A file is replaced only after its encryption has been decrypted and compared; on failure every file is as it was.

Exit codes: 0 done, 1 other failure, 2 usage, 3 refused by the key manager, 4 key manager unreachable, 5 what was written
does not decrypt.

Example:
  encrypt_node_key.sh 127.0.0.1 8150 nodes/127.0.0.1/node0/conf/node.key ed157f4588b86d61a2e1745efe71e6ea`;

/** The private keys that an SM node reads, in conf/; a node has the one set or the other. */
const smNodeFiles = [
  ["gmnode.key", "origin_cert/node.key"],
  ["sm_ssl.key", "sm_enssl.key", "node.pem"],
] as const;

await runDropIn("encrypt_node_key", async (args, tell) => {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      "sm-node": { type: "string" },
      "backup-dir": { type: "string" },
      mode: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(`${usage}\n`);
  const smNode = values["sm-node"];
  const [host, port, ...rest] = positionals;
  if (rest.length !== 2 && !(rest.length === 1 && smNode !== undefined))
    throw new CommandFailure(exitCodes.usage, "takes IP, PORT, FILE and CIPHERDATAKEY", "--help shows every option");
  if (values.mode !== undefined && values.mode !== "standard" && values.mode !== "sm")
    throw new CommandFailure(exitCodes.usage, "--mode takes standard or sm");
  const server = serverArgument(host, port);
  const cipherDataKey = cipherDataKeyArgument(rest.at(-1));
  const paths = new Set(
    [...rest.slice(0, -1), ...(smNode === undefined ? [] : keysOfSmNode(smNode))].map((one) => resolve(one)),
  );
  const files = [...paths].map(readPlainKeyFile);
  try {
    if (!isLoopback(server.host)) tell(`warning: the data key crosses the network from ${server.host} in clear`);
    using dataKey = await openDataKey(server, cipherDataKey);
    const mode = values.mode ?? (await findMode(server, cipherDataKey, dataKey));
    if (smNode !== undefined && mode !== "sm")
      throw new CommandFailure(exitCodes.refused, "--sm-node needs a key manager in SM mode (key-manager -g)");
    encryptAll(files, mode, dataKey, values["backup-dir"] ?? stateFolder("node-key-backups"), tell);
  } finally {
    for (const { content } of files) content[Symbol.dispose]();
  }
});

function keysOfSmNode(folder: string): readonly string[] {
  for (const names of smNodeFiles) {
    const present = names.filter((name) => existsSync(join(folder, name)));
    if (present.length === names.length) return names.map((name) => join(folder, name));
    if (present.length > 0 && names[0] === present[0]) {
      const missing = names.find((name) => !present.includes(name));
      throw new CommandFailure(
        exitCodes.usage,
        `${folder} has ${present[0]} but not ${missing}: is it a node's conf folder?`,
      );
    }
  }
  throw new CommandFailure(
    exitCodes.usage,
    `${folder} is not the conf folder of an SM node: no gmnode.key, no sm_ssl.key`,
  );
}

async function openDataKey(server: FiscoServer, cipherDataKey: string): Promise<SecretBuffer> {
  const hex = await callFisco(server, "decDataKey", [Buffer.from(cipherDataKey)]);
  using text = SecretBuffer.take(hex);
  return text.expose((digits) => {
    if (digits.length % 2 !== 0 || digits.some((digit) => nibble(digit) < 0))
      throw new FiscoClientError("BAD_ANSWER", "the key manager's data key is not hex");
    const key = Buffer.alloc(digits.length / 2);
    for (let index = 0; index < key.length; index++)
      key[index] = (nibble(digits[2 * index] ?? 0) << 4) | nibble(digits[2 * index + 1] ?? 0);
    return SecretBuffer.take(key);
  });
}

function nibble(digit: number): number {
  if (digit >= 0x30 && digit <= 0x39) return digit - 0x30;
  const letter = digit | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Nothing in a cipherDataKey tells the mode: the key manager encrypts a known text, and we see which cipher it used. */
async function findMode(server: FiscoServer, cipherDataKey: string, dataKey: SecretBuffer): Promise<FiscoMode> {
  const known = Buffer.from("strongroom asks for the mode");
  const params = [Buffer.from(known.toString("base64")), Buffer.from(cipherDataKey)];
  const answer = (await callFisco(server, "encWithCipherKey", params)).toString("latin1");
  using probe = SecretBuffer.copyOf(known);
  for (const mode of ["standard", "sm"] as const)
    if (legacyEncryptKeyFile(mode, dataKey, probe) === answer) return mode;
  throw new CommandFailure(
    exitCodes.refused,
    "the key manager encrypts under another key than this cipherDataKey's: a wrong super key, or the wrong mode",
  );
}

/** Every file is encrypted and checked, and backed up, before the first one is replaced. */
function encryptAll(
  files: readonly PlainKeyFile[],
  mode: FiscoMode,
  dataKey: SecretBuffer,
  backupDir: string,
  tell: Tell,
): void {
  const encrypted = files.map((file) => {
    const text = legacyEncryptKeyFile(mode, dataKey, file.content);
    checkOpens(file, Buffer.from(text), mode, dataKey);
    return { file, text };
  });
  for (const { file } of encrypted) {
    if (!`${resolve(backupDir)}${sep}`.startsWith(`${nodeFolder(file.path)}${sep}`)) continue;
    tell(`warning: the backup in ${backupDir} lies in the node's folder, where whoever takes the disk finds it`);
    break;
  }
  for (const { file } of encrypted) process.stdout.write(`[INFO] File backup to "${backUp(file, backupDir)}"\n`);
  for (const { file, text } of encrypted) {
    for (const note of replacePlainFile(file, text)) tell(`warning: ${note}`);
    checkOpens(file, readFileSync(file.path), mode, dataKey);
    process.stdout.write(`[INFO] "${file.path}" encrypted!\n`);
  }
  tell("keep the backup off the node's machine, then delete it there: it is the private key in clear");
  for (const { file } of encrypted) warnOfPlainKeys(dirname(file.path), tell);
}

function nodeFolder(path: string): string {
  const folder = dirname(path);
  return basename(folder) === "conf" ? dirname(folder) : folder;
}

function checkOpens(file: PlainKeyFile, text: Buffer, mode: FiscoMode, dataKey: SecretBuffer): void {
  try {
    using opened = legacyDecryptKeyFile(mode, dataKey, text);
    if (opened.equals(file.content)) return;
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error;
  }
  throw new CommandFailure(exitCodes.integrity, `the encryption of ${file.path} does not decrypt to the same key`);
}

/** What the original leaves behind, and what it never encrypts. */
function warnOfPlainKeys(folder: string, tell: Tell): void {
  for (const name of readdirSync(folder)) {
    if (!/\.bak\.[0-9]+$/.test(name) && name !== "gmennode.key") continue;
    const content = readFileSync(join(folder, name));
    if (content.includes("PRIVATE KEY-----")) tell(`warning: ${join(folder, name)} is still a private key in clear`);
    content.fill(0);
  }
}
