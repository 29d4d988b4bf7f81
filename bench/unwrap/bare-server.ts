/**
 * The peer: a bare node:https server that opens one AES-256-GCM box per request and nothing else. Same TLS version, same
 * certificates, client certificate demanded, connections kept. With `--log FILE` it also appends a line per request and
 * answers only after the line is synced, one sync for all that wait.
 */
import { createDecipheriv, createSecretKey } from "node:crypto";
import { fdatasync, openSync, readFileSync, writeSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { answerStats } from "./stats.ts";

const { values } = parseArgs({
  options: { folder: { type: "string", default: "." }, key: { type: "string", default: "" }, log: { type: "string" } },
});
const file = (name: string) => readFileSync(`${values.folder}/${name}`);
const key = createSecretKey(Buffer.from(values.key, "hex"));
const log = values.log === undefined ? undefined : openSync(values.log, "a", 0o600);

let lines: string[] = [];
let waiting: (() => void)[] = [];
let syncing = false;

/** Calls back once the line is durable. */
function record(line: string, done: () => void): void {
  if (log === undefined) {
    done();
    return;
  }
  lines.push(line);
  waiting.push(done);
  if (syncing) return;
  syncing = true;
  setImmediate(sync, log);
}

function sync(descriptor: number): void {
  writeSync(descriptor, lines.join(""));
  const answered = waiting;
  lines = [];
  waiting = [];
  fdatasync(descriptor, () => {
    for (const done of answered) done();
    if (lines.length > 0) sync(descriptor);
    else syncing = false;
  });
}

const server = createServer(
  {
    minVersion: "TLSv1.3",
    requestCert: true,
    rejectUnauthorized: true,
    keepAliveTimeout: 60_000,
    noDelay: true,
    ca: file("client-issuer.pem"),
    cert: file("server.pem"),
    key: file("server-key.pem"),
  },
  (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const box = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
      const decipher = createDecipheriv("aes-256-gcm", key, box.subarray(0, 12), { authTagLength: 16 });
      decipher.setAuthTag(box.subarray(box.length - 16));
      const plaintext = decipher.update(box.subarray(12, box.length - 16));
      decipher.final();
      record(`${new Date().toISOString()} opened ${plaintext.length} bytes\n`, () => {
        response.writeHead(200, { "content-type": "application/octet-stream", "content-length": plaintext.length });
        response.end(plaintext);
      });
    });
  },
);
server.listen({ host: "127.0.0.1", port: 0 }, () => process.send?.({ port: (server.address() as AddressInfo).port }));
answerStats();
