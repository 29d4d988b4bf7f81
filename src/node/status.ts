import { X509Certificate } from "node:crypto";
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NodeError } from "./errors.ts";
import { identityMeanings } from "./identity.ts";
import { identityFiles } from "./key-manager.ts";
import type { IdentityKind, Protection } from "./manifest.ts";
import type { LoadedManifest } from "./manifest-reader.ts";

export interface NodeStatus {
  readonly name: string;
  readonly kind: string;
  readonly network: string;
  readonly protection: Protection;
  /** What that means for the node's keys. */
  readonly protectionMeaning: string;
  /** User that the node belongs to; null when the manifest does not say. */
  readonly uid: number | null;
  readonly identity: {
    readonly kind: IdentityKind;
    readonly folder: string;
    /** What this kind means against a stolen disk. */
    readonly meaning: string;
    readonly enrolled: boolean;
    readonly notAfter: string | null;
  };
  /** The KMS in place of a key manager; null for a node that has a key manager of ours. */
  readonly kms: {
    readonly integration: string;
    readonly store: string;
    /** Such as `AKIA… at https://kms.eu-west-1.amazonaws.com, alias/kaleido`; or what is wrong with the integration. */
    readonly detail: string;
  } | null;
  readonly dataKey: { readonly made: boolean; readonly suite: string; readonly version: number | null };
  readonly sealedFiles: readonly {
    readonly name: string;
    readonly format: string;
    readonly handover: string;
    readonly publicIdentity: string;
    readonly version: number;
    /** `sealed`; `missing`; `plain beside`: the plain original is (again) where it was. */
    readonly state: "sealed" | "missing" | "plain beside";
  }[];
  readonly volume: { readonly kind: string; readonly state: string; readonly detail: string } | null;
  /** What holds a running node to the key manager's word. */
  readonly lease: string;
}

/** What a node's protection means for its keys. Shown by `node status` word for word. */
export const protectionMeanings: Readonly<Record<Protection, string>> = {
  "key-manager": "keys are sealed; the node starts only when its key manager agrees",
  none: "NOT PROTECTED: keys are plain files, and whoever copies this disk has them; there is nothing to revoke",
};

/** What can be said of a node without a key. Changes nothing. */
export async function nodeStatus(loaded: LoadedManifest): Promise<NodeStatus> {
  const { node, identity, dataKey, sealedFiles, lease } = loaded.manifest;
  const folder = loaded.at(identity.folder);
  const notAfter = certificateEnd(join(folder, identityFiles.certificate));
  return {
    name: node.name,
    kind: node.kind,
    network: node.network,
    protection: node.protection,
    protectionMeaning: protectionMeanings[node.protection],
    uid: node.uid ?? null,
    identity: {
      kind: identity.kind,
      folder,
      meaning: identityMeanings[identity.kind],
      enrolled: notAfter !== null && exists(join(folder, identityFiles.privateKey)),
      notAfter,
    },
    kms: await kmsOf(loaded),
    dataKey: { made: dataKey.check !== undefined, suite: dataKey.suite, version: dataKey.version ?? null },
    sealedFiles: sealedFiles.map((entry) => ({
      name: entry.name,
      format: entry.format,
      handover: entry.handover,
      publicIdentity: entry.publicIdentity,
      version: entry.version,
      state: !exists(loaded.at(entry.sealed))
        ? "missing"
        : entry.sealed !== entry.path && exists(loaded.at(entry.path)) && !isLink(loaded.at(entry.path))
          ? "plain beside"
          : "sealed",
    })),
    volume: await volumeState(loaded),
    lease:
      lease.seconds === 0
        ? "none: a running node keeps its keys until it stops; revoking it bars the next start"
        : `asked every ${lease.seconds} s; stopped when refused, or after ${lease.graceSeconds} s without an answer`,
  };
}

async function kmsOf(loaded: LoadedManifest): Promise<NodeStatus["kms"]> {
  const { kms } = loaded.manifest;
  if (kms === undefined) return null;
  const [{ IntegrationFolder }, { endpointOf }] = await Promise.all([
    import("./kms/integration-folder.ts"),
    import("../devices/aws-kms/settings.ts"),
  ]);
  const { integration, masterKey } = kms;
  const store = loaded.at(kms.store);
  try {
    const settings = new IntegrationFolder(store).describe(integration);
    const detail = `${settings.apiKey} at ${endpointOf(settings)}, ${masterKey ?? settings.masterKey}`;
    return { integration, store, detail };
  } catch (error) {
    if (error instanceof NodeError) return { integration, store, detail: error.message };
    throw error;
  }
}

async function volumeState(loaded: LoadedManifest): Promise<NodeStatus["volume"]> {
  const { volume } = loaded.manifest;
  if (volume === undefined) return null;
  const { volumeDriver } = await import("../volume/drivers.ts");
  const { state, detail } = await (await volumeDriver(volume.kind)).status({ folder: loaded.at(volume.folder) });
  return { kind: volume.kind, state, detail };
}

function certificateEnd(file: string): string | null {
  try {
    return new X509Certificate(readFileSync(file)).validToDate.toISOString();
  } catch {
    return null;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function isLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
}
