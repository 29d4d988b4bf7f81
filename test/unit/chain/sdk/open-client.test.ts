import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { RpcServer } from "../../../../src/chain/rpc/rpc-server.ts";
import { openClient } from "../../../../src/chain/sdk/open-client.ts";
import { generateKeyPair, nodeIdOf } from "../../../../src/crypto/curve.ts";
import { ChainFolder } from "../build/chain-folder.ts";

function filesFor(folder: ChainFolder, ...ports: readonly number[]) {
  const peers = ports.map((port) => `"127.0.0.1:${port}"`).join(", ");
  const { publicKey, scalar } = generateKeyPair("sm2");
  using _ = scalar;
  return {
    config: folder.write(
      "config.toml",
      `[cryptoMaterial]\nuseSMCrypto = "true"\ndisableSsl = "true"\n[network]\npeers=[${peers}]\n`,
    ),
    genesis: folder.write(
      "config.genesis",
      `[chain]\nsm_crypto=true\ngroup_id=group0\nchain_id=chain0\n[consensus]\nnode.0=${nodeIdOf(publicKey)}: 1\n`,
    ),
  };
}

const nodeAt = (height: number) =>
  RpcServer.start({ host: "127.0.0.1", port: 0 }, new Map([["getBlockNumber", () => height]]));

describe("a client that is opened", () => {
  it("asks the next node when a program that is none answers at the first one's place", async () => {
    using folder = new ChainFolder();
    const other = createServer((socket) =>
      socket.once("data", () => socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")),
    );
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    {
      await using node = await nodeAt(3);
      await using opened = await openClient(filesFor(folder, port, node.port), false);
      assert.equal(opened.node.port, node.port);
    }
    await assert.rejects(openClient(filesFor(folder, port), false), { code: "ANSWER_INVALID" });
    other.close();
    await assert.rejects(openClient(filesFor(folder, port), false), { code: "UNREACHABLE" });
  });
});
