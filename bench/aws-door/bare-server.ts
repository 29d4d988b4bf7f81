/**
 * The peer: a bare node:http server that answers every request as AWS KMS answers Decrypt. It checks no signature, asks no
 * policy, opens one AES-256-GCM box, appends a line to a log, and answers once that is synced, one sync for all that wait.
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import { fdatasync, openSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const [logPath = ""] = process.argv.slice(2);
const log = openSync(logPath, "a", 0o600);
const key = createSecretKey(randomBytes(32));
const nonce = randomBytes(12);
const cipher = createCipheriv("aes-256-gcm", key, nonce);
const box = Buffer.concat([cipher.update(randomBytes(32)), cipher.final()]);
const tag = cipher.getAuthTag();

let lines: string[] = [];
let waiting: (() => void)[] = [];
let syncing = false;

function record(line: string, done: () => void): void {
  lines.push(line);
  waiting.push(done);
  if (syncing) return;
  syncing = true;
  setImmediate(sync);
}

function sync(): void {
  writeSync(log, lines.join(""));
  const answered = waiting;
  lines = [];
  waiting = [];
  fdatasync(log, () => {
    for (const done of answered) done();
    if (lines.length > 0) sync();
    else syncing = false;
  });
}

const server = createServer({ keepAliveTimeout: 60_000, noDelay: true }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const { EncryptionContext: context } = JSON.parse(Buffer.concat(chunks).toString()) as {
      EncryptionContext: unknown;
    };
    const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
    decipher.setAuthTag(tag);
    const plaintext = Buffer.concat([decipher.update(box), decipher.final()]);
    const line = { at: new Date().toISOString(), context, peer: request.socket.remoteAddress };
    record(`${JSON.stringify(line)}\n`, () => {
      const answer = Buffer.from(JSON.stringify({ KeyId: "bare", Plaintext: plaintext.toString("base64") }));
      response.writeHead(200, { "content-type": "application/x-amz-json-1.1", "content-length": answer.length });
      response.end(answer);
    });
  });
});
server.listen({ host: "127.0.0.1", port: 0 }, () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.once("disconnect", () => process.exit());
