/** One client with the AWS SDK: lists every key and reads of each its tags, public key and description, 8 requests in flight. */
import {
  DescribeKeyCommand,
  GetPublicKeyCommand,
  KMSClient,
  ListResourceTagsCommand,
  paginateListKeys,
} from "@aws-sdk/client-kms";
import type { SdkAccess } from "./key-manager.ts";

export interface WalkReport {
  readonly found: number;
  readonly listSeconds: number;
  readonly seconds: number;
}

const inFlight = 8;
/** SubjectPublicKeyInfo of a point of secp256k1, not compressed. */
const spkiBytes = 88;

async function walk(access: SdkAccess): Promise<WalkReport> {
  const client = new KMSClient({ ...access, maxAttempts: 1 });
  const startedMs = performance.now();
  const ids: string[] = [];
  for await (const { Keys = [] } of paginateListKeys({ client }, {}))
    for (const { KeyId } of Keys) if (KeyId !== undefined) ids.push(KeyId);
  const listSeconds = (performance.now() - startedMs) / 1000;
  const left = ids.values();
  let found = 0;
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (const KeyId of left) {
        const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }));
        if (KeyMetadata?.KeySpec !== "ECC_SECG_P256K1") continue;
        const { Tags = [] } = await client.send(new ListResourceTagsCommand({ KeyId }));
        const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId }));
        if (Tags.length !== 2 || PublicKey?.length !== spkiBytes)
          throw new Error(`the key ${KeyId} is not as it was made`);
        found += 1;
      }
    }),
  );
  client.destroy();
  return { found, listSeconds, seconds: (performance.now() - startedMs) / 1000 };
}

process.on("message", (access: SdkAccess) => {
  walk(access).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`key walk: ${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once("disconnect", () => process.exit());
