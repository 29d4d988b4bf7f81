/** A state secret chain whose node keys are in cipher cards. Run it by `script/demo --hsm`. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { end, serverReady } from "../commands.ts";
import { Demo } from "../demo.ts";
import { freePorts } from "../folders.ts";
import { searchFiles } from "../planted-bytes.ts";
import { CardChain } from "./card-chain.ts";
import { accountKeyIndex, CardNode } from "./card-node.ts";
import { unplugOne, unplugTwo, wrongSignature } from "./failures.ts";
import { guardedVotes, isLinked } from "./ledgers.ts";
import { run, until } from "./shell.ts";

const nodes: CardNode[] = [];
const allNodes = [0, 1, 2, 3];
const demo = new Demo({
  steps: 10,
  option: "hsm",
  usage: "usage: script/demo --hsm [--keep]",
  async stop() {
    // Nodes are in sessions of their own.
    if (existsSync(join(host, "stop_all.sh"))) await run(undefined, work, ["bash", join(host, "stop_all.sh")]);
  },
  clear() {
    for (const node of nodes) node[Symbol.dispose]();
  },
});
const { work, stage, commands } = demo;
const host = join(work, "nodes/127.0.0.1");

async function story(): Promise<void> {
  const [serverPort = 0] = await freePorts(1);
  const { p2p, rpc } = await CardChain.freePorts(allNodes.length);
  const server = `https://127.0.0.1:${serverPort}`;
  const pin = Buffer.from(randomBytes(8).toString("hex"));

  stage.step("The key manager is made and started");
  writeFileSync(join(work, "unlock"), `${randomBytes(24).toString("base64")}\n`, { mode: 0o600 });
  await commands.run(["init", "--data", "km", "--unlock-file", "unlock"]);
  const serve = ["serve", "--data", "km", "--unlock-file", "unlock", "--native", `127.0.0.1:${serverPort}`, "--json"];
  const keyManager = commands.start(serve);
  await serverReady(keyManager);
  await commands.run(["key", "create", "--alias", "alias/nodes", "--data", "km"]);

  stage.step("Four cipher cards, one for each node; keys are made inside, public keys are exported");
  writeFileSync(join(work, "pin"), pin, { mode: 0o600 });
  for (const index of allNodes) nodes.push(new CardNode(index, rpc + index, host, pin.toString()));
  nodes[0]?.card.admin("generate", String(accountKeyIndex));
  const catalogue = nodes.map((node) => node.deviceEntry("pin")).join("");
  writeFileSync(join(work, "devices.toml"), catalogue, { mode: 0o600 });
  mkdirSync(join(work, "nodeKeyDir"));
  for (const { index, keyIndex, name } of nodes) {
    const key = ["--key-index", String(keyIndex), "--out", `nodeKeyDir/${name}.pem`];
    await commands.run(["device", "keys", "export-public", `card-${index}`, ...key, "--devices", "devices.toml"]);
  }

  stage.step("The chain is built; the key manager seals what private files there are, and the PIN");
  mkdirSync(join(work, "tokens"), { mode: 0o700 });
  for (const { name } of nodes) {
    const token = ["--key", "alias/nodes", "--out", `tokens/chain0-${name}`];
    await commands.run(["node", "token", `chain0-${name}`, "--data", "km", ...token]);
  }
  const chain = await CardChain.build({ stage, work, nodes, ports: { p2p, rpc }, server });
  // The client's configuration names the PIN's file until the account is open.
  await using account = await chain.openAccount();
  const planted = searchFiles([work], [{ name: "PIN", bytes: pin }]);
  const foundIn = planted.found.map(({ path }) => relative(work, path)).join(", ");
  stage.check("the PIN is found only in the file that the operator wrote, now removed", foundIn === "pin", foundIn);
  rmSync(join(work, "pin"));
  const nodeKeys = nodes.map((node) => node.nodePem);
  stage.check(
    "no node's folder has the private key that it signs with",
    nodeKeys.every((pem) => pem.startsWith("-----BEGIN PUBLIC KEY-----") && !pem.includes("PRIVATE")),
    "conf/node.pem holds the public key",
  );

  stage.step("The chain is started and connects");
  const started = await chain.script("start_all.sh");
  for (const line of started.stdout.trimEnd().split("\n")) stage.say(line);
  stage.check("start_all.sh starts four nodes", started.exitCode === 0, `exit code ${started.exitCode}`);
  for (const node of nodes) {
    const line = await until(`${node.name} is connected`, () => node.logLine("heartBeat,connected count=3"));
    stage.check(`${node.name} is connected to the three others`, true, line);
  }

  stage.step("Transactions, signed by an account in a card, are mined; every node's turn to propose comes");
  const first = await chain.mineUntilProposedBy(account.account, allNodes);
  stage.check(
    "transactions are mined, each receipt proved by a quorum",
    first.transactions > 0,
    `${first.transactions} transactions in ${first.blocks} blocks, proposed by nodes ${first.proposers.join(", ")}`,
  );

  stage.step("node3's card is unplugged: node3 signs nothing, the chain goes on");
  await unplugOne(stage, chain, account.account, 3);
  stage.step("node2's card is unplugged too: no quorum, no block");
  const waiting = await unplugTwo(stage, chain, account.account, 2);
  stage.step("Both cards are plugged in again: the chain goes on, and all four sign");
  for (const index of [2, 3]) chain.node(index).plugIn();
  const receipt = await until("the waiting transaction has its block", () => chain.receipt(waiting));
  stage.check("the transaction that waited is mined", true, `block ${receipt.height}`);
  const again = await chain.mineUntilProposedBy(account.account, allNodes);
  stage.check(
    "every node signs again, by itself",
    true,
    `${again.transactions} transactions in ${again.blocks} blocks, proposed by nodes ${again.proposers.join(", ")}`,
  );
  stage.step("node1's card answers with a wrong signature: node1 sends it to nobody and stops signing");
  await wrongSignature(stage, chain, account.account, 1);

  stage.step("What the four ledgers and guards hold");
  const head = await chain.sameHeight();
  const ledgers = await Promise.all(nodes.map((node) => chain.blocksOf(node)));
  const [ledger = []] = ledgers;
  stage.check(
    "no two nodes have different blocks at one height",
    ledgers.every((each) => each.length === head && each.every(({ hash }, at) => hash === ledger[at]?.hash)),
    `${head} blocks on each of ${ledgers.length} nodes${isLinked(ledger) ? ", each linked to the one before" : ", NOT linked"}`,
  );
  const signatures = ledgers.flat().reduce((sum, { signers }) => sum + signers.length, 0);
  stage.check(
    "no wrong signature is in any ledger",
    ledgers.flat().every(({ isProved }) => isProved),
    `${signatures} signatures verified, every block has a quorum's`,
  );
  const evidence = nodes.filter((node) => node.logLine("equivocation") !== undefined);
  stage.check("no node saw another sign twice", evidence.length === 0, `${evidence.length} nodes say so`);
  await chain.script("stop_all.sh");
  const guards = await Promise.all(
    nodes.map((node) => guardedVotes(join(node.folder, "volume/data/guard"), join(work, `${node.name}.guard`))),
  );
  stage.check(
    "no card was asked for two votes of one height, view and phase",
    guards.every(({ doubled, votes }) => doubled.length === 0 && votes > 0),
    `votes of the four guards: ${guards.map(({ votes }) => votes).join(", ")}`,
  );
  for (const slot of guards.flatMap(({ doubled }) => doubled)) stage.say(`twice: ${slot}`);
  await end(keyManager);
  const search = searchFiles([work], [{ name: "PIN", bytes: pin }]);
  pin.fill(0);
  stage.check(
    "the cards' PIN is in no file that the nodes have or wrote",
    search.found.length === 0,
    `${search.found.length} hits in ${search.files} files, ${(search.bytes / 1e6).toFixed(1)} MB`,
  );
  const refused = await chain.script("start_all.sh");
  stage.say(refused.stdout.split("\n").find((line) => line.includes("error:")) ?? "");
  stage.check("no key manager, no start", refused.exitCode === 1, `start_all.sh ends with ${refused.exitCode}`);
}

await demo.play(story);
