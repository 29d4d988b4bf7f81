/** The key manager as it is served: native door with mTLS, policy, audit records that are durable before the answer, SQLite. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { KeyManagerClient } from "../../src/client/client.ts";
import { enroll } from "../../src/client/enroll.ts";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import { initCustody, openCustody } from "../../src/custody/open.ts";
import { Authority } from "../../src/server/authority.ts";
import { startServer } from "../../src/server/server.ts";
import { answerStats } from "./stats.ts";

const { values } = parseArgs({ options: { folder: { type: "string", default: "." } } });
const write = (name: string, bytes: string | Buffer) =>
  writeFileSync(join(values.folder, name), bytes, { mode: 0o600 });

using unlock = SecretBuffer.random(32);
const dataDir = join(values.folder, "km");
await initCustody({ dataDir, unlock, slotKind: "key-file" });
const custody = await openCustody({ dataDir, unlock, threaded: true });
const server = await startServer(custody, {
  dataDir,
  native: { host: "127.0.0.1", port: 0 },
  log: (line) => process.stderr.write(`${line}\n`),
});
const admin = KeyManagerClient.overSocket(server.addresses.socket);
const { keyId } = await admin.keys.create({ alias: "alias/bench" });
const { token } = await admin.nodes.createToken({ name: "bench-node", key: keyId, identity: "file" });
const node = await enroll({ servers: [`https://${server.addresses.native}`], token });
const context = { node: "bench-node", network: "bench", purpose: "disk" };
const client = KeyManagerClient.overTls({
  servers: [`https://${server.addresses.native}`],
  caPem: node.caPem,
  identity: node,
});
const { wrapped } = await client.generateDataKey({ key: keyId, context });
client.close();
admin.close();

// The load generator is this same node; the bare servers get a certificate of the same issuer.
write("ca.pem", node.caPem);
write("client.pem", node.certificatePem);
node.privateKeyPem.expose((pem) => write("client-key.pem", pem));
const authority = await Authority.open(custody);
const bare = await authority.issueServerCertificate(["127.0.0.1"]);
write("server.pem", bare.chainPem);
bare.privateKeyPem.expose((pem) => write("server-key.pem", pem));
write("client-issuer.pem", authority.clientIssuerPem);

answerStats();
process.send?.({
  port: Number(server.addresses.native?.split(":").at(-1)),
  body: JSON.stringify({ wrapped: wrapped.toString("base64"), context }),
});
