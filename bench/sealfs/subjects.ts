import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SecretBuffer } from "../../src/crypto/secret-buffer.ts";
import type { SuiteName } from "../../src/crypto/suite.ts";
import { volumeDriver } from "../../src/volume/drivers.ts";

export const subjectNames = ["plain", "gocryptfs", "sealfs AES", "sealfs SM4"] as const;
export type SubjectName = (typeof subjectNames)[number];

/** Where the measures run; `close` takes the mount away. */
export interface Subject {
  readonly name: SubjectName;
  readonly folder: string;
  close(): Promise<void>;
}

/** How the server of a sealfs volume is run. */
export interface Settings {
  readonly parameters: Readonly<Record<string, string>>;
  /** Takes a CPU profile of each sealfs server, written when it ends. */
  readonly profileFolder?: string;
}

/** Makes and opens a volume under `work`, or a plain folder. */
export async function openSubject(name: SubjectName, work: string, settings: Settings): Promise<Subject> {
  const place = join(work, name.replace(" ", "-"));
  if (name === "plain") {
    mkdirSync(place);
    return { name, folder: place, close: async () => {} };
  }
  const suite: SuiteName = name === "sealfs SM4" ? "sm" : "intl";
  const driver = await volumeDriver(name === "gocryptfs" ? "gocryptfs" : "sealfs");
  using dataKey = SecretBuffer.random(32);
  const parameters = name === "gocryptfs" ? {} : settings.parameters;
  await driver.create({ folder: place }, dataKey, { suite, parameters });
  const node = process.execPath;
  if (settings.profileFolder !== undefined) process.execPath = profiledNode(place, settings.profileFolder);
  try {
    const volume = await driver.open({ folder: place }, dataKey, {
      onDamage: (what) => console.error(`${name}: ${what}`),
    });
    return { name, folder: volume.dataPath, close: () => volume.close({ patienceMs: 20_000 }) };
  } finally {
    process.execPath = node;
  }
}

/** Node with the flags of a profile; the server of a volume is started with Node's own path. */
function profiledNode(place: string, profileFolder: string): string {
  const script = `${place}.profiled-node`;
  mkdirSync(profileFolder, { recursive: true });
  writeFileSync(
    script,
    `#!/bin/sh\nexec '${process.execPath}' --cpu-prof --cpu-prof-interval=500 --cpu-prof-dir='${profileFolder}' "$@"\n`,
    { mode: 0o755 },
  );
  return script;
}
