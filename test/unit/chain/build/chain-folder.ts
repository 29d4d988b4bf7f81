import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ChainBuildOptions } from "../../../../src/chain/build/options.ts";
import { type CurveName, generateKeyPair, nodeIdOf } from "../../../../src/crypto/curve.ts";
import { writePrivateKey } from "../../../../src/crypto/pem.ts";

/** A folder for one test, removed at its end. */
export class ChainFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "strongroom-chain-"));

  at(name: string): string {
    return join(this.path, name);
  }

  write(name: string, content: string | Buffer, mode = 0o600): string {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), content, { mode });
    return this.at(name);
  }

  /** A private key in PEM; its node id. */
  writeKey(name: string, curve: CurveName = "sm2"): string {
    const { scalar, publicKey } = generateKeyPair(curve);
    this.write(
      name,
      writePrivateKey(curve, scalar, "pkcs8").expose((bytes) => Buffer.from(bytes)),
    );
    return nodeIdOf(publicKey);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** An SM chain of four local nodes in `nodes/`. */
export function fourNodes(folder: ChainFolder, more: Partial<ChainBuildOptions> = {}): ChainBuildOptions {
  return {
    hosts: [{ host: "127.0.0.1", nodes: 4 }],
    ports: { p2p: 30300, rpc: 20200 },
    sm: true,
    output: folder.at("nodes"),
    groupId: "group0",
    chainId: "chain0",
    compatibilityVersion: "3.6.0",
    ...more,
  };
}
