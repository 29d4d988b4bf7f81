import { CreateKeyCommand, KMSClient } from "@aws-sdk/client-kms";
import { answerOf, start } from "../child-processes.ts";
import { verdict } from "./figures.ts";
import type { KeyManager, SdkAccess } from "./key-manager.ts";
import type { WalkReport } from "./key-walk.ts";
import { usageOf } from "./process-usage.ts";

const mostSeconds = 60;
/** Every new key is a commit of its own: more requests in flight only wait. */
const makersInFlight = 3;

/** Lists and reads `keys` signing keys with one SDK client. Making them is not measured. */
export async function measureWalk(keyManager: KeyManager, keys: number): Promise<void> {
  await keyManager.admin.groups.create({ name: "Readers", policies: ["AWSKeyManagementServicePowerUser"] });
  const access = keyManager.sdkAccess(await keyManager.user("bench-reader", { groups: ["Readers"] }));
  await makeKeys(access, keys);
  const walker = start("aws-door/key-walk.ts");
  const before = usageOf(keyManager.pid);
  walker.send(access);
  const { found, listSeconds, seconds } = await answerOf<WalkReport>(walker);
  const cpuSeconds = (usageOf(keyManager.pid).cpuMs - before.cpuMs) / 1000;
  if (found < keys) throw new Error(`${keys} keys were made, ${found} were listed`);
  console.log(`\n${found} keys ECC_SECG_P256K1, one SDK client, http, 8 requests in flight\n`);
  console.log(`listed in ${listSeconds.toFixed(1)} s; tags, public key and description of each read too`);
  console.log(
    `in all ${seconds.toFixed(1)} s, ${verdict(seconds, mostSeconds, " s")}; server CPU ${cpuSeconds.toFixed(1)} s`,
  );
  walker.disconnect();
}

async function makeKeys(access: SdkAccess, keys: number): Promise<void> {
  const client = new KMSClient({ ...access, maxAttempts: 1 });
  const numbers = Array.from({ length: keys }, (_, index) => index).values();
  await Promise.all(
    Array.from({ length: makersInFlight }, async () => {
      for (const number of numbers) {
        const Tags = [
          { TagKey: "node", TagValue: `node-${number}` },
          { TagKey: "network", TagValue: "bench" },
        ];
        await client.send(new CreateKeyCommand({ KeySpec: "ECC_SECG_P256K1", KeyUsage: "SIGN_VERIFY", Tags }));
      }
    }),
  );
  client.destroy();
}
