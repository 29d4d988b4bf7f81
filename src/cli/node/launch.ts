import { connectKeyManager } from "../../node/key-manager.ts";
import { launchNode } from "../../node/launch.ts";
import { loadManifest } from "../../node/manifest-reader.ts";
import { tell } from "../output.ts";

interface LaunchOptions {
  readonly lease?: number;
  readonly allowUnsafe?: boolean;
}

export async function runLaunch(node: string, { lease, allowUnsafe = false }: LaunchOptions): Promise<void> {
  // Only the key manager's own authority is ever trusted here. Node would read its 140 built-in ones all the same: 15 ms.
  process.getBuiltinModule("node:tls").setDefaultCACertificates([]);
  process.exitCode = await launchNode(loadManifest(node), {
    tell,
    allowUnsafe,
    ...(lease === undefined ? {} : { leaseSeconds: lease }),
  });
}

export async function runSidecar(node: string): Promise<void> {
  const { Sidecar } = await import("../../node/sidecar.ts");
  const loaded = loadManifest(node);
  const keyManager = await connectKeyManager(loaded);
  try {
    const sidecar = await Sidecar.start(loaded, keyManager, tell);
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void sidecar.close());
    tell(`the sidecar of ${loaded.manifest.node.name} listens on 127.0.0.1:${sidecar.port}`);
    await sidecar.closed;
  } finally {
    keyManager.close();
  }
}
