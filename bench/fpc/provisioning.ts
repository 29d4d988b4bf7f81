/** Generate, register, export, import on the embedded ledger, one enclave after the other. */
import { join } from "node:path";
import { hostExchange } from "../../src/enclave/operator/host-exchange.ts";
import { exportKeys, generate, importKeys, ownId, registerEnclave } from "../../src/enclave/operator/provisioning.ts";
import type { RegistryClient } from "../../src/enclave/operator/registry-client.ts";
import { TrialNetwork } from "../../src/enclave/operator/trial-network.ts";
import type { TrialOrganisation } from "../../src/enclave/operator/trial-organisation.ts";
import { type Counted, takeCounted } from "./asymmetric.ts";
import { InProcessEnclave } from "./in-process-enclave.ts";

export const phases = ["create", "register", "export", "import"] as const;
export type Phase = (typeof phases)[number];

export interface Measured extends Counted {
  readonly wallMs: number;
  /** Of all threads: compilation and the collection of garbage too, whatever they are for. */
  readonly cpuMs: number;
}

export type Provisioned = Readonly<Record<Phase, Measured>>;

/** What `count` enclaves cost, each; they are of three organisations in turn, and the first of Org1MSP exports to all. */
export async function provision(
  folder: string,
  count: number,
): Promise<{ readonly generated: Measured; readonly enclaves: readonly Provisioned[] }> {
  await using network = await TrialNetwork.create({
    folder: join(folder, "network"),
    organisations: 3,
    chaincodeId: "auction",
  });
  const hosts = await Promise.all(
    network.organisations.map(async (organisation) => ({ organisation, client: await network.client(organisation) })),
  );
  const start = (client: RegistryClient, organisation: TrialOrganisation, name: string) =>
    InProcessEnclave.start(
      join(folder, name),
      organisation.platform,
      hostExchange(client, network.ledger.identity(organisation.mspId, "admin")),
    );
  const [first] = hosts;
  if (first === undefined) throw new RangeError("a network has organisations");
  await using exporter = await start(first.client, first.organisation, "exporter");
  await registerEnclave(
    first.client,
    await exporter.initEnclave(await network.creation(first.client, first.organisation)),
  );
  const generated = await measured(() => generate(first.client, exporter.stub));

  const enclaves: Provisioned[] = [];
  for (let index = 0; index < count; index += 1) {
    const { client, organisation } = hosts[(index + 1) % hosts.length] ?? first;
    const creation = await network.creation(client, organisation);
    await using enclave = await start(client, organisation, `enclave-${index}`);
    const create = await measured(() => enclave.initEnclave(creation));
    const register = await measured(() => registerEnclave(client, enclave.credentials()));
    const receivers = [ownId(enclave.stub)];
    const exported = await measured(() => exportKeys(first.client, exporter.stub, receivers));
    const imported = await measured(() => importKeys(client, enclave.stub));
    enclaves.push({ create, register, export: exported, import: imported });
  }
  const provisioned = await first.client.provisioned();
  if (provisioned.length !== count + 1) throw new Error(`${provisioned.length} enclaves are provisioned`);
  return { generated, enclaves };
}

async function measured(run: () => Promise<unknown>): Promise<Measured> {
  takeCounted();
  const [cpu, startedMs] = [process.cpuUsage(), performance.now()];
  await run();
  const wallMs = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  return { wallMs, cpuMs: (user + system) / 1000, ...takeCounted() };
}
