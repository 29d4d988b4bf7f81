import assert from "node:assert/strict";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ChainBuildError } from "../../../../src/chain/build/errors.ts";
import { ChainClient } from "../../../../src/chain/sdk/chain-client.ts";
import { ChainClientError } from "../../../../src/chain/sdk/errors.ts";
import { openAccount } from "../../../../src/chain/sdk/open-account.ts";
import { readSdkConfig } from "../../../../src/chain/sdk-config.ts";
import { DeviceError, type DeviceErrorCode } from "../../../../src/devices/errors.ts";
import { makeTestCard, sdfCardMissing, type TestCard } from "../../../sdf-card/build.ts";
import { ChainFolder } from "../../../unit/chain/build/chain-folder.ts";
import { LocalChain, until } from "../node/local-chain.ts";

const pin = "account-PIN-60714";
const index = 50;
const text = (value: string) => Buffer.from(value);

interface Wanted {
  readonly library: string;
  readonly keyIndex?: number;
  readonly password?: string;
  readonly rpcPort?: number;
}

/** A client's config.toml as the java-sdk writes it. */
function configToml({ library, keyIndex = index, password = pin, rpcPort = 20200 }: Wanted): string {
  return `[cryptoMaterial]
certPath = "conf"
disableSsl = "true"
useSMCrypto = "true"
enableHsm = "true"
hsmLibPath = "${library}"
hsmKeyIndex = "${keyIndex}"
hsmPassword = "${password}"

[network]
messageTimeout = "10000"
defaultGroup = "group0"
peers = ["127.0.0.1:${rpcPort}"]

[account]
keyStoreDir = "account"
accountFileFormat = "pem"
`;
}

/** The ids of this process's children: a card's process must not outlive its account. */
function children(): readonly string[] {
  return readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim().split(" ").filter(Boolean);
}

async function refusedAccount(
  folder: ChainFolder,
  wanted: Wanted,
  expected: DeviceErrorCode | RegExp,
): Promise<DeviceError> {
  const before = children();
  const file = folder.write("refused.toml", configToml(wanted));
  let refused: unknown;
  await assert.rejects(openAccount(readSdkConfig(file)), (error: unknown) => {
    refused = error;
    return true;
  });
  rmSync(file);
  assert.ok(refused instanceof DeviceError, String(refused));
  // What no device has answered is told by its own word.
  if (typeof expected === "string") assert.equal(refused.code, expected, refused.message);
  else assert.match(refused.failure?.code ?? refused.code, expected, refused.message);
  for (let error: unknown = refused; error instanceof Error; error = error.cause)
    assert.doesNotMatch(`${error.message}${error.stack}`, /PIN-60714|WRONG-60714/);
  assert.deepEqual(children(), before);
  return refused;
}

function made(card: TestCard): void {
  card.admin("generate", String(index));
}

describe("a client whose account is a key in a cipher card, by its config.toml", {
  skip: sdfCardMissing(),
  timeout: 240_000,
}, () => {
  it("signs a transaction there, and believes the receipt by its proof", async (test) => {
    using card = makeTestCard(pin);
    made(card);
    using folder = new ChainFolder();
    await using local = await LocalChain.build("-s");
    for (const at of [0, 1, 2]) local.node(at).start();
    for (const at of [0, 1, 2]) await local.connected(at, 2);
    const [rpcPort] = local.nodes.map((node) => node.rpcPort);
    const file = folder.write("config.toml", configToml({ library: card.library, rpcPort: rpcPort ?? 0 }));
    const config = readSdkConfig(file);
    const [peer] = config.network.peers;
    assert.ok(peer !== undefined);
    const endpoint = { ...peer, timeoutMs: config.network.messageTimeoutMs };

    await test.test("several transactions at once, each proved, its sender the card's key", async () => {
      await using opened = await openAccount(config);
      using client = new ChainClient({ chain: local.chain, endpoint, account: opened.account });
      const sent = await client.sign({ kind: "set", key: text("signed by"), value: text("a card") });
      assert.deepEqual(sent.sender, opened.account.publicKey.subarray(1));
      assert.deepEqual(sent.signature.subarray(64), sent.sender);
      const receipt = await client.send(sent);
      assert.deepEqual(receipt.transactionHash, sent.hash);
      assert.equal((await client.provedGet(text("signed by")))?.toString(), "a card");
      const many = await Promise.all(
        Array.from({ length: 20 }, (_, number) => client.set(text(`key-${number}`), text(`value-${number}`))),
      );
      assert.ok(many.every(({ status }) => status === 0));
    });

    await test.test("unplugged, nothing is sent; plugged in again, the same account goes on", async () => {
      await using opened = await openAccount(config);
      using client = new ChainClient({ chain: local.chain, endpoint, account: opened.account });
      await client.set(text("before"), text("unplugged"));
      card.setFaults("unplugged=1");
      const height = await client.blockNumber();
      await assert.rejects(
        client.set(text("while"), text("unplugged")),
        (error: unknown) => error instanceof DeviceError,
      );
      await pause(1500);
      assert.equal(await client.blockNumber(), height);
      assert.equal(await client.get(text("while")), undefined);
      card.setFaults();
      for (let tries = 0; ; tries++) {
        try {
          await client.set(text("after"), text("plugged in"));
          break;
        } catch (error) {
          if (!(error instanceof DeviceError) || tries === 40) throw error;
          await pause(250);
        }
      }
    });

    await test.test("an account that is closed signs no more, and leaves no process", async () => {
      const before = children();
      const opened = await openAccount(config);
      assert.ok(children().length > before.length);
      await opened[Symbol.asyncDispose]();
      assert.deepEqual(children(), before);
      using client = new ChainClient({ chain: local.chain, endpoint, account: opened.account });
      await assert.rejects(client.set(text("too"), text("late")), (error: unknown) => error instanceof DeviceError);
    });

    await test.test("with the node away, it says so: what was signed may be sent later, and counts once", async () => {
      await using opened = await openAccount(config);
      using client = new ChainClient({ chain: local.chain, endpoint, account: opened.account });
      const sent = await client.sign({ kind: "set", key: text("sent"), value: text("twice") });
      await local.node(0).end("SIGTERM");
      await assert.rejects(
        client.send(sent),
        (error: unknown) => error instanceof ChainClientError && error.code === "UNREACHABLE",
      );
      local.node(0).start();
      await until("node0 answers", async () => (await local.height(0)) !== undefined);
      const first = await client.send(sent);
      await assert.rejects(
        client.send(sent),
        (error: unknown) => error instanceof ChainClientError && error.code === "REFUSED",
      );
      assert.equal((await client.receipt(sent.hash)).height, first.height);
    });

    await test.test("the PIN is in the config.toml alone", () => {
      for (const node of local.nodes) assert.ok(!(node.log + node.said).includes(pin));
      const held = readdirSync(folder.path, { recursive: true, encoding: "utf8" }).filter((name) =>
        readFileSync(folder.at(name)).includes(pin),
      );
      assert.deepEqual(held, ["config.toml"]);
    });
  });

  it("is refused each in its own words: a wrong PIN, once; an absent index; a library that is none or not there", async () => {
    using card = makeTestCard(pin);
    made(card);
    using folder = new ChainFolder();
    const { library } = card;
    const absent = await refusedAccount(folder, { library, keyIndex: 51 }, "DEVICE_KEY_NOT_FOUND");
    assert.match(absent.message, /51/);
    const missing = join(folder.path, "libgmt0018.so");
    const noLibrary = await refusedAccount(folder, { library: missing }, /^LIBRARY_MISSING$/);
    assert.ok(noLibrary.message.includes(missing), noLibrary.message);
    writeFileSync(missing, "this is no library");
    await refusedAccount(folder, { library: missing }, /^LIBRARY_INVALID$/);

    // The card locks after five wrong PINs in a row: one refused account costs one try.
    for (let tries = 0; tries < 4; tries++)
      await refusedAccount(folder, { library, password: "WRONG-60714" }, "DEVICE_PIN_REFUSED");
    const file = folder.write("config.toml", configToml({ library }));
    const opened = await openAccount(readSdkConfig(file));
    assert.equal((await opened.account.sign(Buffer.alloc(32, 1))).length, 64);
    await opened[Symbol.asyncDispose]();
  });

  it("is refused with a config.toml that others may read, before the card is asked", async () => {
    using card = makeTestCard(pin);
    made(card);
    using folder = new ChainFolder();
    const file = folder.write("config.toml", configToml({ library: card.library }));
    chmodSync(file, 0o644);
    const before = children();
    await assert.rejects(
      openAccount(readSdkConfig(file)),
      (error: unknown) => error instanceof ChainBuildError && error.code === "FILE_UNSAFE",
    );
    assert.deepEqual(children(), before);
  });
});
