/** One node of the demo's chain, the cipher card of its host, and what the node has written down. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Chain } from "../../../src/chain/ledger/genesis.ts";
import { ChainClient } from "../../../src/chain/sdk/chain-client.ts";
import { makeTestCard, type TestCard } from "../../../test/sdf-card/build.ts";

/** The tutorial's indices: node0's key is at 43, node1's at 44, and so on. */
const firstKeyIndex = 43;
/** The account of the client, in node0's card. */
export const accountKeyIndex = 50;

export class CardNode implements Disposable {
  readonly index: number;
  readonly name: string;
  readonly rpcPort: number;
  readonly folder: string;
  readonly card: TestCard;

  /**
   * Makes the card, with the node's key inside.
   *
   * @param host - The folder of the host's nodes, `nodes/127.0.0.1`.
   */
  constructor(index: number, rpcPort: number, host: string, pin: string) {
    this.index = index;
    this.name = `node${index}`;
    this.rpcPort = rpcPort;
    this.folder = join(host, this.name);
    this.card = makeTestCard(pin);
    this.card.admin("generate", String(this.keyIndex));
  }

  get keyIndex(): number {
    return firstKeyIndex + this.index;
  }

  /** Its entry in devices.toml. */
  deviceEntry(pinFile: string): string {
    const indices = this.index === 0 ? [this.keyIndex, accountKeyIndex] : [this.keyIndex];
    return `[[device]]\nname = "card-${this.index}"\nkind = "sdf"\nlibrary = "${this.card.library}"\nkey_indices = [${indices}]\npin_file = "${pinFile}"\n\n`;
  }

  /** Names its own host's card in config.ini. */
  useOwnCard(): void {
    const path = join(this.folder, "config.ini");
    const text = readFileSync(path, "utf8").replace(/^ *hsm_lib_path=.*$/m, `    hsm_lib_path=${this.card.library}`);
    writeFileSync(path, text, { mode: 0o600 });
  }

  /** What its folder holds of its signing key. */
  get nodePem(): string {
    return readFileSync(join(this.folder, "conf/node.pem"), "utf8");
  }

  unplug(): void {
    this.card.setFaults("unplugged=1");
  }

  plugIn(): void {
    this.card.setFaults();
  }

  get log(): string {
    const folder = join(this.folder, "log");
    return readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("");
  }

  /** The newest line of the log that holds `text`. */
  logLine(text: string): string | undefined {
    return this.log
      .split("\n")
      .filter((line) => line.includes(text))
      .at(-1);
  }

  client(chain: Chain, account?: ConstructorParameters<typeof ChainClient>[0]["account"]): ChainClient {
    const endpoint = { host: "127.0.0.1", port: this.rpcPort, timeoutMs: 40_000 };
    return new ChainClient({ chain, endpoint, ...(account === undefined ? {} : { account }) });
  }

  async height(chain: Chain): Promise<number> {
    using client = this.client(chain);
    return await client.blockNumber();
  }

  [Symbol.dispose](): void {
    this.card[Symbol.dispose]();
  }
}
