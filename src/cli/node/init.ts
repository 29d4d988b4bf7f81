import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { NodeError } from "../../node/errors.ts";
import { writeNewFile } from "../../node/file-steps.ts";
import { defaultIdentityFolder } from "../../node/identity.ts";
import { type IdentityKind, manifestFileName, type NodeKind } from "../../node/manifest.ts";
import { newManifestText } from "../../node/manifest-writer.ts";
import { tell } from "../output.ts";

interface InitOptions {
  readonly kind: NodeKind;
  readonly network: string;
  readonly server: readonly string[];
  readonly key: string;
  readonly dir: string;
  readonly identity: IdentityKind;
  readonly identityFolder?: string;
  readonly volume?: string;
  readonly address?: string;
  readonly sidecarPort?: number;
}

export function runInit(name: string, argv: readonly string[], options: InitOptions): void {
  const folder = resolve(options.dir);
  const file = join(folder, manifestFileName);
  if (existsSync(file)) throw new NodeError("TARGET_EXISTS", `${file} exists already`);
  const text = newManifestText({
    name,
    kind: options.kind,
    network: options.network,
    servers: options.server,
    masterKey: options.key,
    identity: {
      kind: options.identity,
      folder: options.identityFolder ?? defaultIdentityFolder(options.identity, name),
    },
    ...(options.volume === undefined ? {} : { volumeKind: options.volume }),
    ...(options.address === undefined ? {} : { address: options.address }),
    ...(options.sidecarPort === undefined ? {} : { sidecarPort: options.sidecarPort }),
    ...(argv.length === 0 ? {} : { argv }),
  });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeNewFile(file, Buffer.from(text));
  tell(`${file} written; next: strongroom node enroll ${options.dir}`);
}
