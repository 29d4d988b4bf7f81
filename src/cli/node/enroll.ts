import { enroll } from "../../client/enroll.ts";
import type { SecretBuffer } from "../../crypto/secret-buffer.ts";
import {
  defaultIdentityFolder,
  identityMeanings,
  refuseDisk,
  refuseStrangersFolder,
  writeIdentity,
} from "../../node/identity.ts";
import type { IdentityKind } from "../../node/manifest.ts";
import { type LoadedManifest, loadManifest } from "../../node/manifest-reader.ts";
import { updateManifest, withTableFields } from "../../node/manifest-writer.ts";
import { type OutputOptions, printData, tell } from "../output.ts";
import { promptSecret, readSecretFile, readUnlockSecret } from "../unlock-secret.ts";

interface EnrollOptions extends OutputOptions {
  readonly tokenFile?: string;
  readonly tokenFd?: number;
  readonly identity?: IdentityKind;
}

export async function runEnroll(node: string, options: EnrollOptions): Promise<void> {
  const loaded = withIdentityKind(loadManifest(node), options.identity);
  const { manifest } = loaded;
  const folder = loaded.at(manifest.identity.folder);
  refuseDisk(manifest.identity.kind, folder);
  refuseStrangersFolder(folder);
  using token = await readToken(options);
  const enrolment = await enroll({ servers: manifest.keyManager.servers, token, name: manifest.node.name });
  using _key = enrolment.privateKeyPem;
  writeIdentity(loaded, enrolment);
  const { name, principal, notAfter } = enrolment;
  tell(identityMeanings[manifest.identity.kind]);
  printData(options, { name, principal, notAfter, identity: manifest.identity.kind }, () =>
    [`${name} is enrolled as ${principal}`, `certificate valid until ${notAfter}`].join("\n"),
  );
}

function readToken(options: EnrollOptions): Promise<SecretBuffer> | SecretBuffer {
  if (options.tokenFd !== undefined) return readUnlockSecret({ unlockFd: String(options.tokenFd) });
  if (options.tokenFile !== undefined) return readSecretFile(options.tokenFile);
  return promptSecret("Enrolment token: ");
}

function withIdentityKind(loaded: LoadedManifest, kind: IdentityKind | undefined): LoadedManifest {
  if (kind === undefined || kind === loaded.manifest.identity.kind) return loaded;
  const folder = defaultIdentityFolder(kind, loaded.manifest.node.name);
  return updateManifest(loaded, (text) => withTableFields(text, "identity", { kind, folder }));
}
