/** The main job, shown on two real Ethereum nodes. Run it by `script/demo`. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nodeIdOf, publicKeyOf } from "../../src/crypto/curve.ts";
import { volumeDriver } from "../../src/volume/drivers.ts";
import { CloudAdministrator } from "./cloud-administrator.ts";
import { end, serverReady } from "./commands.ts";
import { Demo } from "./demo.ts";
import { DemoNode } from "./demo-node.ts";
import { copyFolder, folderDigest, freePorts, plainCopyOfStores } from "./folders.ts";
import { makeGenesis } from "./genesis.ts";
import { type Planted, searchFiles } from "./planted-bytes.ts";
import { signCanaryTransaction } from "./transaction.ts";

const chainId = 20_262;
const patienceMs = 60_000;
const identityFolders: string[] = [];
const demo = new Demo({
  steps: 12,
  usage:
    "usage: script/demo [--hsm | --db | --fpc] [--keep]\n  --hsm    a chain whose node keys are in cipher cards\n  --db     an encrypted database beside a plain one\n  --fpc    keys of confidential chaincode, handed from enclave to enclave",
  clear() {
    for (const folder of identityFolders) rmSync(folder, { recursive: true, force: true });
  },
});
const { work, stage, commands } = demo;

/** A refused start: its exit code, and that not one byte of the node's folder changed. */
async function refusedStart(what: string, folder: string, exitCode: number): Promise<void> {
  const before = folderDigest(folder);
  const ended = await commands.attempt(["node", "launch", folder]);
  stage.say(ended.stderr.trim().split("\n").at(0) ?? "");
  const unchanged = folderDigest(folder) === before;
  stage.check(
    what,
    ended.exitCode === exitCode && unchanged,
    `exit code ${ended.exitCode}, files ${unchanged ? "byte-identical" : "CHANGED"}`,
  );
}

/** Changes words of a copied manifest: what whoever carries a disk away can do as well. */
function editManifest(folder: string, edits: Readonly<Record<string, string>>): void {
  const path = join(folder, "node.toml");
  let text = readFileSync(path, "utf8");
  for (const [from, to] of Object.entries(edits)) text = text.replaceAll(from, to);
  writeFileSync(path, text);
}

async function story(): Promise<void> {
  const [nativePort = 0, awsPort = 0, ...nodePorts] = await freePorts(8);
  const [port1 = 0, rpc1 = 0, port2 = 0, rpc2 = 0, copyPort = 0, copyRpc = 0] = nodePorts;
  const server = `https://127.0.0.1:${nativePort}`;
  const serveArgs = [
    "serve",
    "--data",
    "km",
    "--unlock-file",
    "unlock",
    "--native",
    `127.0.0.1:${nativePort}`,
    "--aws",
    `127.0.0.1:${awsPort}`,
    "--json",
  ];

  stage.step("The key manager is made and started");
  writeFileSync(join(work, "unlock"), `${randomBytes(24).toString("base64")}\n`, { mode: 0o600 }); // as an operator would
  await commands.run(["init", "--data", "km", "--unlock-file", "unlock"]);
  let keyManager = commands.start(serveArgs);
  await serverReady(keyManager);
  await commands.run(["key", "create", "--alias", "alias/nodes", "--data", "km"]);
  stage.say(`listening on ${server}; master key alias/nodes made`);

  stage.step("Two nodes: keys made and sealed, client certificates enrolled, volumes made");
  const genesisPath = join(work, "genesis.json");
  const node1 = new DemoNode(
    { name: "node-1", identity: "file", folder: join(work, "node-1"), genesisPath, port: port1, rpcPort: rpc1 },
    commands,
  );
  const node2 = new DemoNode(
    { name: "node-2", identity: "tmpfs", folder: join(work, "node-2"), genesisPath, port: port2, rpcPort: rpc2 },
    commands,
  );
  writeFileSync(
    genesisPath,
    JSON.stringify(makeGenesis({ signers: [node1.address], funded: [node2.address], chainId })),
  );
  const enode1 = `enode://${nodeIdOf(publicKeyOf("secp256k1", node1.nodeKey))}@127.0.0.1:${port1}`;
  await node1.prepare(server, { miner: node1.address });
  await node2.prepare(server, { bootnode: enode1 });
  const statuses = await Promise.all(
    [node1, node2].map(async (node) => {
      const { stdout } = await commands.run(["node", "status", node.folder, "--json"]);
      const status = JSON.parse(stdout) as { identity: { kind: string; folder: string; meaning: string } };
      stage.say(`${node.name} (identity ${status.identity.kind}): ${status.identity.meaning}`);
      return status;
    }),
  );
  const tmpfsFolder = statuses[1]?.identity.folder ?? "";
  identityFolders.push(tmpfsFolder);

  stage.step("Both nodes are launched on encrypted databases");
  const ready1 = await node1.launch();
  const ready2 = await node2.launch();
  stage.say(`node-1 ${ready1.enode.slice(0, 40)}…, node-2 ${ready2.enode.slice(0, 40)}…`);
  stage.check(
    "node-1 runs under the sealed node key",
    ready1.enode === enode1,
    "its enode is the one of the sealed key",
  );
  stage.check("both databases are encrypted", ready1.encrypted && ready2.encrypted, "as the programs report");

  stage.step("Blocks are produced and followed; a transaction with a canary is mined");
  await node1.rpc.waitForHeight(2, patienceMs);
  await node2.rpc.waitForHeight(2, patienceMs);
  const canary = `canary-${randomBytes(24).toString("hex")}`;
  const signed = node2.accountKey.expose((key) =>
    signCanaryTransaction({ chainId, nonce: 0, to: node1.address, canary }, key),
  );
  await node2.rpc.sendRawTransaction(signed.bytes);
  const mined = await node1.rpc.waitForTransaction(signed.hash, patienceMs);
  const followed = await node2.rpc.waitForTransaction(signed.hash, patienceMs);
  stage.check(
    "a block with the canary is on both nodes",
    mined.blockHash === followed.blockHash && Buffer.from(mined.data.slice(2), "hex").toString() === canary,
    `block ${mined.blockHeight}`,
  );

  stage.step("Both nodes stop; the canary, private keys and data keys are searched in every file that was written");
  await node1.rpc.waitForHeight(mined.blockHeight + 1, patienceMs);
  const height1 = await node1.rpc.blockNumber();
  await node2.rpc.waitForHeight(mined.blockHeight, patienceMs);
  await node2.stop();
  await node1.stop();
  using key1 = await node1.dataKey();
  using key2 = await node2.dataKey();
  const lend = (name: string, secret: { expose<T>(use: (bytes: Buffer) => T): T }): Planted => ({
    name,
    bytes: secret.expose((bytes) => Buffer.from(bytes)),
  });
  const planted: Planted[] = [
    { name: "canary", bytes: Buffer.from(canary) },
    ...[node1, node2].flatMap((node) => [
      lend(`${node.name} node key`, node.nodeKey),
      lend(`${node.name} account key`, node.accountKey),
    ]),
    lend("node-1 data key", key1),
    lend("node-2 data key", key2),
  ];
  const search = searchFiles([work], planted);
  stage.check(
    "none of them is in any file",
    search.found.length === 0,
    `${search.found.length} hits in ${search.files} files, ${(search.bytes / 1e6).toFixed(1)} MB`,
  );
  for (const hit of search.found) stage.say(`found: ${hit.name} (${hit.form}) in ${hit.path}`);
  const plain = join(work, "plain-copy");
  for (const node of [node1, node2]) {
    const to = join(plain, node.name);
    mkdirSync(to, { recursive: true });
    const copied = join(plain, `${node.name}-volume`);
    copyFolder(join(node.folder, "volume"), copied);
    using dataKey = await node.dataKey();
    const driver = await volumeDriver("level");
    const volume = await driver.open({ folder: copied }, dataKey);
    const [storeKey] = volume.programKeys;
    if (storeKey === undefined) throw new Error("the volume has no key for its program");
    const entries = await plainCopyOfStores(volume.dataPath, storeKey.value, to);
    await volume.close();
    rmSync(copied, { recursive: true });
    node.nodeKey.expose((bytes) => writeFileSync(join(to, "nodekey"), bytes.toString("hex")));
    node.accountKey.expose((bytes) => writeFileSync(join(to, "account"), bytes.toString("hex")));
    dataKey.expose((bytes) => writeFileSync(join(to, "data.key"), bytes));
    stage.say(`${node.name}: ${entries} database entries, keys and data key written in plain, as a comparison`);
  }
  const control = searchFiles([plain], planted);
  const names = new Set(control.found.map(({ name }) => name));
  rmSync(plain, { recursive: true });
  stage.check(
    "the same search finds all of them in a plain copy",
    names.size === planted.length,
    `${names.size} of ${planted.length}`,
  );
  for (const { bytes } of planted) bytes.fill(0);

  stage.step("The disks are copied, as a thief would: identity files included");
  const [copy1, copy2] = [join(work, "thief", "node-1"), join(work, "thief", "node-2")];
  copyFolder(node1.folder, copy1);
  copyFolder(node2.folder, copy2);
  // The thief's machine has other free ports, and none of this machine's memory.
  editManifest(copy1, { [`"${port1}"`]: `"${copyPort}"`, [`"${rpc1}"`]: `"${copyRpc}"` });
  editManifest(copy2, { [tmpfsFolder]: join(copy2, "memory-of-the-thief") });
  stage.say("node-1 (identity file) and node-2 (identity tmpfs) copied byte for byte");

  stage.step("The key manager is stopped: no start");
  await end(keyManager);
  await refusedStart("no key manager, no start", node1.folder, 4);

  stage.step("The key manager is back, but an AWS client has disabled the master key: no start");
  keyManager = commands.start(serveArgs);
  await serverReady(keyManager);
  const administrator = await CloudAdministrator.hire(stage, commands, `http://127.0.0.1:${awsPort}`);
  const masterKey = await administrator.keyIdOf("alias/nodes");
  await administrator.disable(masterKey);
  await refusedStart("disabled through the AWS KMS interface: no start", node1.folder, 3);

  stage.step("The master key is enabled again: the chain goes on");
  await administrator.enable(masterKey);
  administrator.close();
  const again1 = await node1.launch();
  const again2 = await node2.launch();
  await node1.rpc.waitForHeight(height1 + 1, patienceMs);
  await node2.rpc.waitForHeight(height1 + 1, patienceMs);
  stage.check(
    "enabled again: the chain goes on from the same height with the same enode",
    again1.height >= height1 && again1.enode === enode1 && again2.enode === ready2.enode,
    `stopped at ${height1}, came back at ${again1.height}, is at ${await node1.rpc.blockNumber()}`,
  );

  stage.step("Copies of both disks are started elsewhere");
  await refusedStart("tmpfs identity: the copied disk does not start", copy2, 3);
  stage.say("node-1's status said: a stolen disk plus reach opens this node until it is revoked. So it does:");
  const thief = commands.start(["node", "launch", copy1]);
  const stolen = await import("./node-process.ts").then(({ readReadyLine }) => readReadyLine(thief));
  await end(thief);
  stage.check(
    "file identity: the copied disk starts until revoked",
    stolen.enode.includes(nodeIdOf(publicKeyOf("secp256k1", node1.nodeKey))),
    "as status declared",
  );

  stage.step("Both nodes are revoked, one after the other");
  await commands.run(["node", "revoke", "node-2", "--data", "km"]);
  await node2.stop();
  await refusedStart("revoked: node-2 is refused", node2.folder, 3);
  const heightThen = await node1.rpc.blockNumber();
  await node1.rpc.waitForHeight(heightThen + 1, patienceMs);
  stage.check("node-1 runs on", node1.running, `height ${await node1.rpc.blockNumber()}`);
  await commands.run(["node", "revoke", "node-1", "--data", "km"]);
  await refusedStart("file identity: the copied disk is refused once revoked", copy1, 3);

  stage.step("The audit chain is verified");
  await node1.stop();
  writeFileSync(join(work, "checkpoint.json"), (await commands.run(["audit", "checkpoint", "--data", "km"])).stdout);
  const verified = await commands.attempt(["audit", "verify", "--data", "km", "--checkpoint", "checkpoint.json"]);
  stage.check("the audit chain verifies against a checkpoint", verified.exitCode === 0, verified.stdout.trim());
  const exported = await commands.run(["audit", "export", "--data", "km", "--format", "jsonl"]);
  const records = exported.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { eventName: string; result: string; errorCode?: string });
  const count = (eventName: string, result: string, errorCode?: string) =>
    records.filter((each) => each.eventName === eventName && each.result === result && each.errorCode === errorCode)
      .length;
  const released = count("Decrypt", "done");
  const refused = count("Authenticate", "refused", "ACCESS_DENIED");
  const disabled = count("Decrypt", "refused", "KEY_DISABLED");
  stage.check(
    "every release of a data key, and every refused start, is on record",
    released >= 6 && refused >= 2 && disabled === 1,
    `${released} released; refused: ${refused} starts of revoked nodes, ${disabled} under a disabled key`,
  );
  await end(keyManager);
}

await demo.play(story);
