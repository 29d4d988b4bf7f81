/**
 * A STAND-IN for the FISCO BCOS node program, which cannot be had from npm or Debian. It does at start what the real one
 * does, from the same config.ini, and nothing else:
 *
 *   1. asks the key manager for its data key with the bytes that the real one sends;
 *   2. derives the node key, decrypts its private key file, and prints the public key as its node id;
 *   3. opens its database (LevelDB, also where the real one has RocksDB), adds a block, and reads all blocks back.
 *
 *   node fisco-node-stand-in.ts CONFIG_INI
 *
 * Its ciphers are written here anew, over node:crypto and @noble/hashes, so that it proves ours. Like the real one it
 * has no time limit on its request, stops when `result.error` is not 0, and dies of anything that is not HTTP 200 with JSON.
 */
import { createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { ClassicLevel } from "classic-level";
import snappy from "snappyjs";

type Format = "v2-raw" | "v2-snappy" | "v3" | "v3.3";

/** What the real program's unseeded generator yields at every call. */
const constantIv = Buffer.from("a6f0d82981c7d7fd424c97548be1b246", "hex");

const configPath = process.argv[2] ?? "config.ini";
const config = readIni(configPath);
const sm = config.get("chain.sm_crypto") === "true";
const format = (config.get("storage.format") ?? "v2-raw") as Format;
const cipherDataKey = config.get("storage_security.cipher_data_key") ?? "";

const dataKey = Buffer.from(await decDataKey(cipherDataKey), "hex");
const nodeKey = sm ? hash("sm3", dataKey, "buffer").subarray(0, 16) : Buffer.from(keccak_256(dataKey));
const cipherName = sm ? "sm4-cbc" : "aes-256-cbc";

const keyFile = readFileSync(inFolder(config.get("security.private_key_path") ?? "conf/node.key"), "latin1");
const pem = Buffer.from(decrypt(Buffer.from(keyFile, "hex")).toString("latin1"), "base64").toString();
if (!pem.startsWith("-----BEGIN PRIVATE KEY-----")) fail("parse privateKey failed");
const spki = createPublicKey(createPrivateKey(pem)).export({ type: "spki", format: "der" });

const database = new ClassicLevel<string, Buffer>(inFolder(config.get("storage.data_path") ?? "data"), {
  keyEncoding: "utf8",
  valueEncoding: "buffer",
});
await database.open();
if (format === "v2-raw") {
  const stored = await database.get("cipherDataKey");
  if (stored !== undefined && stored.toString() !== cipherDataKey) fail("cipherDataKey of the database differs");
  await database.put("cipherDataKey", Buffer.from(cipherDataKey));
}
const blocks: string[] = [];
for await (const [key, value] of database.iterator({ gte: "s_number_2_header:", lt: "s_number_2_header;" }))
  blocks.push(`${key.split(":")[1]}=${openValue(value).toString()}`);
const height = blocks.length;
await database.put(
  `s_number_2_header:${String(height).padStart(6, "0")}`,
  storeValue(Buffer.from(`block ${height} `.repeat(20))),
);
if (format.startsWith("v3")) await database.put("s_empty:", Buffer.alloc(0));
await database.close();
const first = blocks[0]?.slice(7, 14) ?? null;
process.stdout.write(`${JSON.stringify({ nodeId: spki.subarray(-64).toString("hex"), height, first })}\n`);

/** The request of libsecurity/KeyCenter.cpp and bcos-security/BcosKms.cpp, header order included. */
function decDataKey(cipher: string): Promise<string> {
  const url = config.get("storage_security.key_center_url");
  const parts = url?.split(":") ?? [];
  if (url !== undefined && parts.length !== 2) fail("key_center_url is not ip:port");
  const host = parts[0] ?? config.get("storage_security.key_manager_ip") ?? "";
  const port = Number(parts[1] ?? config.get("storage_security.key_manager_port") ?? 20000);
  const body = `{"id":83,"jsonrpc":"2.0","method":"decDataKey","params":["${cipher}"]}\n`;
  const head = `POST / HTTP/1.1\r\nHost: ${host}:${port}\r\nAccept: */*\r\nContent-Type: application/json\r\n`;
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let answer = "";
    socket.on("error", (error) => fail(`key manager: ${error.message}`));
    socket.on("close", () => fail("terminate called without an active exception", 134));
    socket.on("data", (piece) => {
      answer += piece.toString("latin1");
      const [headers = "", text = ""] = answer.split("\r\n\r\n");
      const length = Number(/content-length: ([0-9]+)/i.exec(headers)?.[1] ?? Number.POSITIVE_INFINITY);
      if (text.length < length) return;
      if (!headers.startsWith("HTTP/1.1 200 ")) fail("terminate called without an active exception", 134);
      const { result } = JSON.parse(text) as { result: { dataKey: string; error: number; info: string } };
      if (result.error !== 0) fail(`key manager answers error ${result.error}: ${result.info}`);
      socket.removeAllListeners("close");
      socket.destroy();
      resolve(result.dataKey);
    });
    socket.write(`${head}Accept-Charset: utf-8\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  });
}

function decrypt(bytes: Buffer, iv: Buffer = nodeKey.subarray(0, 16)): Buffer {
  const decipher = createDecipheriv(cipherName, nodeKey, iv);
  return Buffer.concat([decipher.update(bytes), decipher.final()]);
}

function encrypt(bytes: Uint8Array, iv: Buffer = nodeKey.subarray(0, 16)): Buffer {
  const cipher = createCipheriv(cipherName, nodeKey, iv);
  return Buffer.concat([cipher.update(bytes), cipher.final()]);
}

function storeValue(value: Buffer): Buffer {
  if (format === "v2-snappy") return encrypt(snappy.compress(value));
  return format === "v3.3" ? Buffer.concat([encrypt(value, constantIv), constantIv]) : encrypt(value);
}

function openValue(stored: Buffer): Buffer {
  if (format === "v2-snappy") return Buffer.from(snappy.uncompress(decrypt(stored), 1 << 26));
  return format === "v3.3" ? decrypt(stored.subarray(0, -16), stored.subarray(-16)) : decrypt(stored);
}

function readIni(path: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let section = "";
  for (const line of readFileSync(path, "utf8")
    .split("\n")
    .map((one) => one.trim())) {
    if (line === "" || line.startsWith(";")) continue;
    if (line.startsWith("[")) section = line.slice(1, -1);
    else values.set(`${section}.${line.slice(0, line.indexOf("="))}`, line.slice(line.indexOf("=") + 1));
  }
  return values;
}

function inFolder(path: string): string {
  return join(dirname(configPath), path);
}

function fail(message: string, code = 1): never {
  process.stderr.write(`fisco-node-stand-in: ${message}\n`);
  process.exit(code);
}
