/** The peer: a bare node:http server that opens one AES-256-GCM box per request and nothing else. */
import { createDecipheriv, createSecretKey } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { answerStats } from "../unwrap/stats.ts";

const { values } = parseArgs({ options: { key: { type: "string", default: "" } } });
const key = createSecretKey(Buffer.from(values.key, "hex"));

const server = createServer({ keepAliveTimeout: 60_000, noDelay: true }, (request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    const box = Buffer.concat(pieces);
    const decipher = createDecipheriv("aes-256-gcm", key, box.subarray(0, 12), { authTagLength: 16 });
    decipher.setAuthTag(box.subarray(-16));
    const opened = Buffer.concat([decipher.update(box.subarray(12, -16)), decipher.final()]);
    response.writeHead(200, { "content-length": opened.length });
    response.end(opened);
  });
});
server.listen({ host: "127.0.0.1", port: 0 }, () => {
  answerStats();
  process.send?.({ port: (server.address() as AddressInfo).port });
});
